#include "aws/cred.h"

#include <stddef.h>

/* What stands between slashes in a signature's scope, and between dots in a host name. */
static enum err check_region(struct str value, struct errbuf *eb)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return errbuf_set(eb, ERR_INVAL, "a region such as eu-west-1");
    }
    return ERR_OK;
}

/* Goes into header lines: a line end pasted with a secret must not get there. */
static enum err check_printable(struct str value, struct errbuf *eb)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] <= ' ' || value.p[i] == 0x7f)
            return errbuf_set(eb, ERR_INVAL, "no blanks, line ends or letters outside ASCII");
    return ERR_OK;
}

const struct conf_key aws_conf_keys[5] = {
    { "AWS_ACCESS_KEY_ID", CONF_TEXT, offsetof(struct aws_conf, access_key), .flags = CONF_REQUIRED,
      .check = check_printable, .doc = "Key that signs requests to S3 and Rekognition." },
    { "AWS_SECRET_ACCESS_KEY", CONF_TEXT, offsetof(struct aws_conf, secret_key),
      .flags = CONF_REQUIRED | CONF_SECRET, .check = check_printable,
      .doc = "The secret that belongs to AWS_ACCESS_KEY_ID." },
    { "AWS_SESSION_TOKEN", CONF_TEXT, offsetof(struct aws_conf, session_token),
      .flags = CONF_SECRET, .check = check_printable,
      .doc = "Only with temporary keys.  They are not renewed: the process must be restarted with "
             "new ones before they expire." },
    { "AWS_REGION", CONF_TEXT, offsetof(struct aws_conf, region), .flags = CONF_REQUIRED,
      .check = check_region, .doc = "Region of the bucket and of Rekognition." },
    { "AWS_CA_BUNDLE", CONF_TEXT, offsetof(struct aws_conf, ca_bundle),
      .doc = "PEM file of the certificate authorities to trust instead of the system's." },
};

struct aws_creds aws_creds(const struct aws_conf *c)
{
    struct str token = str_of(c->session_token);
    return (struct aws_creds){
        .access_key = str_of(c->access_key),
        .secret_key = str_of(c->secret_key),
        .session_token = token.n == 0 ? STR_NONE : token,
    };
}
