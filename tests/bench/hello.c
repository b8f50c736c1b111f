/* hello - what the gateway's cost is compared with: civetweb, and nothing of ours.
 *
 *   hello THREADS RESPONSE
 *
 * Answers every request with RESPONSE, a whole HTTP response, in one write.  It has the options
 * that the gateway has and answers from the same callback, before civetweb looks for files and
 * passwords, so that it is the least that a civetweb server can cost; given one of the gateway's
 * own responses, what the gateway needs beyond it is the gateway's work.
 *
 * Prints its port and civetweb's version; ends when standard input does.
 */
#include <civetweb.h>
#include <stdio.h>
#include <string.h>

static int answer(struct mg_connection *conn)
{
    const char *response = mg_get_user_context_data(conn);
    mg_write(conn, response, strlen(response));
    return 200;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: hello THREADS RESPONSE\n", stderr);
        return 2;
    }
    /* clang-format off */
    const char *options[] = { /* as in common/net/httpd.c */
        "listening_ports", "127.0.0.1:0",
        "num_threads", argv[1],
        "enable_keep_alive", "no",
        "tcp_nodelay", "1",
        "listen_backlog", "1024",
        "connection_queue", "512",
        "request_timeout_ms", "2000",
        "max_request_size", "16384",
        "decode_url", "no",
        "decode_query_string", "no",
        "enable_auth_domain_check", "no",
        "enable_directory_listing", "no",
        NULL,
    };
    /* clang-format on */
    const struct mg_callbacks callbacks = { .begin_request = answer };
    struct mg_server_port listening;
    mg_init_library(MG_FEATURES_DEFAULT);
    struct mg_context *ctx = mg_start(&callbacks, argv[2], options);
    if (ctx == NULL || mg_get_server_ports(ctx, 1, &listening) != 1) {
        fputs("hello: civetweb does not start\n", stderr);
        return 1;
    }
    printf("%d %s\n", listening.port, mg_version());
    fflush(stdout);
    while (getchar() != EOF)
        ;
    mg_stop(ctx);
    mg_exit_library();
    return 0;
}
