#include <stdlib.h>

#include "base/mem.h"
#include "net/kafka_rd.h"

#define RETRY_MS    1000 /* between two looks for the partitions */
#define METADATA_MS 1000 /* limit of such a look */

static void watch_all(struct kafka_watch *w, rd_kafka_t *rk, const char *topic, int n_partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n_partitions);
    for (int i = 0; i < n_partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = w->from;
    if (rd_kafka_assign(rk, list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        w->n = (size_t)n_partitions;
        w->ended = xcalloc(w->n, sizeof *w->ended);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* At once, and then only when a broker is there, so that the wait is short. */
void kafka_watch_try(struct kafka_watch *w, rd_kafka_t *rk, const char *topic, struct kafka_link *l)
{
    const struct rd_kafka_metadata *md = NULL;
    mono_t now = mono_now();
    bool first = w->retry.ns == 0;
    if (!first && (!atomic_load(&l->up) || mono_until_ms(now, w->retry) > 0))
        return;
    w->retry = mono_after_ms(now, RETRY_MS);
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    if (rkt == NULL)
        return;
    if (rd_kafka_metadata(rk, 0, rkt, &md, METADATA_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_link_set(l, true, "");
        if (md->topic_cnt == 1 && md->topics[0].partition_cnt > 0)
            watch_all(w, rk, topic, md->topics[0].partition_cnt);
        rd_kafka_metadata_destroy(md);
    }
    rd_kafka_topic_destroy(rkt);
}

void kafka_watch_ended(struct kafka_watch *w, int32_t partition)
{
    if (w->ended == NULL || (size_t)partition >= w->n || w->ended[partition])
        return;
    w->ended[partition] = true;
    w->n_ended++;
}
