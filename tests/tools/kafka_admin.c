/* kafka_admin BROKERS delete TOPIC   deletes a topic
 * kafka_admin BROKERS trim TOPIC     deletes all records of a topic, as its retention would
 *
 * For tests; exits with 0 once the broker has done it. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000

static void check(rd_kafka_resp_err_t code, const char *what)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    fprintf(stderr, "%s: %s\n", what, rd_kafka_err2str(code));
    exit(1);
}

static void await(rd_kafka_queue_t *answers)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(answers, TIMEOUT_MS);
    if (event == NULL)
        check(RD_KAFKA_RESP_ERR__TIMED_OUT, "no answer");
    check(rd_kafka_event_error(event), "refused");
    size_t n = 0;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DELETETOPICS_RESULT) {
        const rd_kafka_topic_result_t **topics =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
        for (size_t i = 0; i < n; i++)
            check(rd_kafka_topic_result_error(topics[i]), rd_kafka_topic_result_name(topics[i]));
    }
    rd_kafka_event_destroy(event);
}

static void delete_topic(rd_kafka_t *rk, const char *topic, rd_kafka_queue_t *answers)
{
    rd_kafka_DeleteTopic_t *wanted = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(rk, &wanted, 1, NULL, answers);
    rd_kafka_DeleteTopic_destroy(wanted);
    await(answers);
}

static void trim_topic(rd_kafka_t *rk, const char *topic, rd_kafka_queue_t *answers)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    check(rd_kafka_metadata(rk, 0, rkt, &md, TIMEOUT_MS), "metadata");
    int n = md->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(md);
    rd_kafka_topic_destroy(rkt);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
    for (int i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_DeleteRecords_t *wanted = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(rk, &wanted, 1, NULL, answers);
    rd_kafka_DeleteRecords_destroy(wanted);
    rd_kafka_topic_partition_list_destroy(list);
    await(answers);
}

int main(int argc, char **argv)
{
    char text[256];
    if (argc != 4) {
        fprintf(stderr, "usage: kafka_admin BROKERS delete|trim TOPIC\n");
        return 2;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    rd_kafka_queue_t *answers = rd_kafka_queue_new(rk);
    if (strcmp(argv[2], "delete") == 0)
        delete_topic(rk, argv[3], answers);
    else
        trim_topic(rk, argv[3], answers);
    rd_kafka_queue_destroy(answers);
    rd_kafka_destroy(rk);
    return 0;
}
