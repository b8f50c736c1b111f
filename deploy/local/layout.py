"""What the stack consists of: ports, services, and the environment of each.

The only place that knows these names and values; the rest of the stack works on what it finds here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from processes import StackError

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Port:
    """A port of the stack: the variable that moves it, where it is by default, and what it is for."""

    variable: str
    default: int
    purpose: str


PORTS = {
    "gateway": Port("GATEWAY_PORT", 8080, "the HTTP API"),
    "gateway-2": Port("GATEWAY_2_PORT", 8090, "the HTTP API, second gateway"),
    "s3": Port("S3_PORT", 7070, "S3, by versitygw"),
    "kafka": Port("KAFKA_PORT", 9092, "Kafka"),
    "kafka-controller": Port("KAFKA_CONTROLLER_PORT", 9093, "Kafka's controller"),
    "redis": Port("REDIS_PORT", 7379, "Redis"),
    "rekognition": Port("REKOGNITION_PORT", 7443, "rekognition-local"),
}

# Order of starting; they are stopped in the opposite order.
PARTS = ("redis", "kafka", "versitygw")
SERVICES = ("rekognition-local", "api-gateway", "upload-watcher", "recognizer", "callback-dispatcher")
SCALED = ("api-gateway", "upload-watcher", "recognizer", "callback-dispatcher")
SECONDS = tuple(f"{service}-2" for service in SCALED)  # second instances, started where they are asked for
INSTANCES = SERVICES + SECONDS

# Health and metrics pages: ports in a row, moved together; each goes by its process's name.
ADMIN = (*SCALED, "rekognition-local", *SECONDS)
PORTS |= {name: Port("ADMIN_PORT", 7081 + i, f"health and metrics of {name}") for i, name in enumerate(ADMIN)}

COMMON = {"LW_ADMIN_LISTEN": "{host}:{admin}", "LW_LOG_LEVEL": "info"}
REDIS = {"LW_REDIS_URL": "redis://{host}:{redis}/0", "LW_SHARDS": "1"}
KAFKA = {"LW_KAFKA_BROKERS": "{host}:{kafka}"}
STORE = {
    "LW_S3_ENDPOINT": "http://{host}:{s3}",
    "LW_S3_BUCKET": "labelwire",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "labelwire",
    "AWS_SECRET_ACCESS_KEY": "labelwire-secret",
}

ENVIRONMENT = {
    "rekognition-local": COMMON | STORE | {
        "LW_LISTEN": "{host}:{rekognition}",
        "LW_TLS_CERT": "{state}/certs/rekognition.pem",
        "LW_REKOGNITION_CONTROL": "{state}/rekognition-control.json",
    },
    "api-gateway": COMMON | REDIS | STORE | {"LW_LISTEN": "{host}:{gateway}"},
    "upload-watcher": COMMON | REDIS | STORE | KAFKA,
    "recognizer": COMMON | REDIS | STORE | KAFKA | {
        "LW_REKOGNITION_ENDPOINT": "https://{host}:{rekognition}",
        "LW_REKOGNITION_IMAGE": "s3",  # as on AWS: rekognition-local reads the bucket itself
        "AWS_CA_BUNDLE": "{state}/certs/ca.pem",
    },
    "callback-dispatcher": COMMON | REDIS | KAFKA | {"LW_CALLBACK_ALLOW_CIDRS": "127.0.0.0/8,::1/128"},
    "versitygw": {"ROOT_ACCESS_KEY": "labelwire", "ROOT_SECRET_KEY": "labelwire-secret"},
    "labelwire": REDIS | STORE | KAFKA | {"LW_GATEWAY": "http://{host}:{gateway}"},
    "redis": {},
    "kafka": {},
}

UPLOADS_TOPIC = "labelwire.uploads"


def ports_from(environ: Mapping[str, str] = os.environ) -> dict[str, int]:
    """Every port by its name; PORT_SHIFT moves all those that have no variable of their own set."""

    def number(variable: str) -> int:
        try:
            return int(environ.get(variable) or 0)
        except ValueError:
            raise StackError(f"{variable} must be a number, not {environ[variable]!r}") from None

    ports = {name: number(port.variable) or port.default + number("PORT_SHIFT") for name, port in PORTS.items()}
    if number("ADMIN_PORT"):
        ports |= {name: number("ADMIN_PORT") + i for i, name in enumerate(ADMIN)}
    for name, port in ports.items():
        if not 0 < port < 65536:
            raise StackError(f"port {port} ({PORTS[name].purpose}) is not between 1 and 65535")
    return ports


def service_of(process: str) -> str:
    """Which service a process is an instance of; a part is itself."""
    return process.removesuffix("-2")


def ports_of(process: str) -> tuple[str, ...]:
    """The names of the ports that a process listens on."""
    return {
        "redis": ("redis",),
        "kafka": ("kafka", "kafka-controller"),
        "versitygw": ("s3",),
        "api-gateway": ("gateway", "api-gateway"),
        "api-gateway-2": ("gateway-2", "api-gateway-2"),
        "rekognition-local": ("rekognition", "rekognition-local"),
    }.get(process, (process,))


def variables(name: str, ports: Mapping[str, int], state: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The variables that configure a process.

    A setting "process:NAME" is for that process, "service:NAME" for all instances of the service. A plain "NAME"
    goes to those that have NAME in the table above, or, if none has, to all services: each refuses LW_ variables
    that it does not know. The former win.
    """
    service = service_of(name)
    places = {"host": HOST, "state": state, "admin": ports.get(name), **ports}
    if name == "api-gateway-2":
        places["gateway"] = ports["gateway-2"]
    values = {variable: text.format(**places) for variable, text in ENVIRONMENT[service].items()}
    known = set().union(*ENVIRONMENT.values())

    def plain(variable: str) -> bool:
        return variable in values or (variable not in known and service in SERVICES)

    for whose, meant in (("", plain), (service, bool), (name, bool)):
        for key, value in settings.items():
            process, _, variable = key.rpartition(":")
            if process == whose and meant(variable):
                values[variable] = value
    return values
