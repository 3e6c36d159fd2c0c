/* The private PostgreSQL of one state directory: unix socket only, readable by its owner and root.
 *
 * The server's own user need not be able to reach the state directory by path (it may lie under
 * /root): initdb and postgres get the cluster's directory as an open descriptor and name it
 * /proc/self/fd/N. */
#ifndef PLUMB_CLI_CLUSTER_H
#define PLUMB_CLI_CLUSTER_H

#include "process.h"

typedef struct cluster {
    char dir[PATH_MAX];     /* <state>/pg: data/ and the socket */
    char bin[PATH_MAX / 2]; /* PostgreSQL's programs */
    char initdb[PATH_MAX], postgres[PATH_MAX];
    char conninfo[PATH_MAX];    /* of the database plumb */
    char maintenance[PATH_MAX]; /* of the database postgres */
    int fd;                     /* of dir; -1: not open */
    bool drops;
    uid_t uid; /* who owns and runs it */
    gid_t gid;
} cluster_t;

/* Find PostgreSQL (the version the cluster was made by, else the newest), choose its user, make the
 * cluster when there is none; `log` takes initdb's words.  Nothing runs afterwards. */
int cluster_open(cluster_t *cluster, const char *state_dir, const char *log, plumb_err_t *err);
void cluster_close(cluster_t *cluster);

/* How to start the server. */
void cluster_plan(const cluster_t *cluster, process_plan_t *plan, const char *log);

/* Before each start: a postmaster.pid whose number now belongs to a process of something else would
 * keep the server from starting for ever. */
void cluster_prepare(void *self);

/* 0 once the server takes connections. */
int cluster_ready(void *self, plumb_err_t *err);

/* Make the database plumb when there is none. */
int cluster_make_database(const cluster_t *cluster, plumb_err_t *err);

#endif
