/* object.h - the blob's object, read from S3 as it was announced: never another one. */
#ifndef RECOGNIZER_OBJECT_H
#define RECOGNIZER_OBJECT_H

#include "recognizer/item.h"

/* At most max_answer bytes of the object (range: STR_NONE, all of it), into it->object. */
void object_get(struct item *it, struct str range, size_t max_answer,
                void (*done)(struct httpc_req *, enum err));
/* For done(): true when the answer is the object; else the item goes another way. */
bool object_got(struct item *it, struct httpc_req *rq, enum err e);

#endif
