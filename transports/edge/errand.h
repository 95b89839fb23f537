/* errand.h — an edge's part of an errand (hub/errand.h): finds the connections it concerns and does it to them.
 *
 * Threading: the edge's thread. Limits: one walk over all connections of the edge, but for one by id; a page of a list begins
 * where the last one ended. */
#pragma once

struct edge;
struct errand_part;

/* Fills the part and mails it back. */
void errand_do(struct edge *edge, struct errand_part *part);
