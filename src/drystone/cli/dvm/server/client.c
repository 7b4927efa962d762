/* `dvm`: hands the command line to the command server where one listens, and starts Python where none does.
 *
 * What the protocol is, and why a command is never run twice, is in __init__.py beside this file. Whatever is odd
 * (no server, another user's, a request too long, an answer that does not come) ends in plain_start(): the console
 * script dvm_python, which stands in the folder of this very file.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/drystone/dvm.sock"
#define PATIENCE_S 3     /* until the server has taken the request */
#define MOST_BYTES 131072 /* of a request: below what a socket's buffer takes by default */
#define MOST_HANDLES 200 /* the kernel passes up to 253 at once */
#define MOST_WORDS 100000

static const int FORWARDED[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH, SIGUSR1, SIGUSR2};

extern char **environ;

static struct {
    uint32_t magic, umask;
    uint64_t blocked;
    uint32_t arguments, variables, handles;
} head;
static char request[MOST_BYTES];
static size_t length;
static int handles[MOST_HANDLES + 1]; /* the current folder's, then those that were open when we began */

static int put(const void *bytes, size_t count) {
    if (count > sizeof request - length)
        return -1;
    memcpy(request + length, bytes, count);
    length += count;
    return 0;
}

static int put_words(char *const *words, uint32_t *count) {
    for (*count = 0; words[*count]; ++*count)
        if (*count >= MOST_WORDS || put(words[*count], strlen(words[*count]) + 1))
            return -1;
    return 0;
}

static int list_handles(int server) {
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    if (!folder)
        return -1;
    head.handles = 0;
    while ((entry = readdir(folder))) {
        int handle = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || handle == dirfd(folder) || handle == server)
            continue;
        if (head.handles >= MOST_HANDLES)
            break;
        handles[++head.handles] = handle;
    }
    closedir(folder);
    return entry ? -1 : 0;
}

/* All that the command is: see request.py. */
static int make_request(int server, char **words, const sigset_t *blocked) {
    const char *self = (const char *)getauxval(AT_EXECFN);
    if (list_handles(server) || !self || (handles[0] = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return -1;
    memcpy(&head.magic, "dvm1", 4);
    head.umask = umask(0);
    umask((mode_t)head.umask);
    for (int number = 1; number <= 64; number++)
        if (sigismember(blocked, number) == 1)
            head.blocked |= UINT64_C(1) << (number - 1);
    length = sizeof head;
    for (uint32_t at = 1; at <= head.handles; at++)
        if (put(&handles[at], sizeof handles[at]))
            return -1;
    if (put(self, strlen(self) + 1) || put_words(words + 1, &head.arguments) || put_words(environ, &head.variables))
        return -1;
    memcpy(request, &head, sizeof head);
    return 0;
}

static int connect_server(void) {
    const char *path = getenv("DRYSTONE_DVM_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct ucred peer;
    socklen_t size = sizeof peer;
    char greeting;
    int server;
    if (!path)
        path = DEFAULT_SOCKET;
    if (!*path || strlen(path) >= sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path, path);
    if ((server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0)
        return -1;
    /* The patience goes for connect, too: a server that hangs lets its backlog fill. Nothing is sent before somebody is
     * there to take it: open files that wait in a socket are open, and who reads from our pipe would wait for them. */
    if (setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) ||
        setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ||
        connect(server, (struct sockaddr *)&address, sizeof address) ||
        getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.uid != geteuid() ||
        recv(server, &greeting, 1, 0) != 1 || greeting != 'H') {
        close(server);
        return -1;
    }
    return server;
}

static int send_request(int server) {
    char control[CMSG_SPACE(sizeof handles)];
    size_t bytes = (head.handles + 1) * sizeof handles[0];
    struct iovec part = {request, length};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(bytes)};
    struct cmsghdr *passed;
    memset(control, 0, sizeof control);
    passed = CMSG_FIRSTHDR(&message);
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(passed), handles, bytes);
    return sendmsg(server, &message, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

/* Waits until the worker is ready, and tells it to run the command. From then on it is never ours to run.
 *
 * Returns the worker's process as a handle, and its number; -1: it was not told to, and will not run it.
 */
static int start_worker(int server, pid_t *worker) {
    char control[CMSG_SPACE(sizeof(int))], told[512];
    struct iovec part = {told, sizeof told};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t count = recvmsg(server, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *passed = count == 5 && told[0] == 'A' ? CMSG_FIRSTHDR(&message) : NULL;
    int process;
    if (!passed || passed->cmsg_type != SCM_RIGHTS) {
        if (count > 0 && told[0] == 'R' && getenv("DRYSTONE_DEBUG"))
            fprintf(stderr, "dvm: not run by the command server: %.*s\n", (int)count - 1, told + 1);
        return -1;
    }
    memcpy(worker, told + 1, sizeof *worker);
    memcpy(&process, CMSG_DATA(passed), sizeof process);
    if (send(server, "G", 1, MSG_NOSIGNAL) != 1) {
        close(process);
        return -1;
    }
    return process;
}

static void forward(const struct signalfd_siginfo *came, int process, pid_t worker) {
    int number = (int)came->ssi_signo;
    /* A terminal's signals are for all processes in the foreground: here those that the worker started. */
    int is_for_all = came->ssi_code == SI_KERNEL || number == SIGTSTP || number == SIGCONT;
    if (number == SIGTSTP)
        number = SIGSTOP; /* its group has no shell that could continue it, so the kernel would ignore SIGTSTP */
    if (syscall(SYS_pidfd_send_signal, process, is_for_all ? 0 : number, NULL, 0) == 0 && is_for_all)
        kill(-worker, number);
    if (number == SIGSTOP)
        raise(SIGSTOP);
}

/* Ends as the worker did. */
static int finish(int status, const sigset_t *blocked) {
    struct rlimit none = {0, 0};
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &none); /* the core that counts is the worker's */
    signal(WTERMSIG(status), SIG_DFL);
    sigprocmask(SIG_SETMASK, blocked, NULL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

static int follow(int server, int process, pid_t worker, int signals, const sigset_t *blocked) {
    struct pollfd waited[] = {{.fd = server, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo came;
    struct timeval forever = {0};
    char told[5];
    int status;
    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    for (;;) {
        if (poll(waited, 2, -1) < 0 && errno != EINTR)
            break;
        if (waited[0].revents) {
            if (recv(server, told, sizeof told, 0) != sizeof told || told[0] != 'E')
                break;
            memcpy(&status, told + 1, sizeof status);
            return finish(status, blocked);
        }
        if (waited[1].revents && read(signals, &came, sizeof came) == sizeof came)
            forward(&came, process, worker);
    }
    fputs("{\"code\":\"internal\",\"message\":\"the command server's process ended without an exit code\","
          "\"hint\":\"look at what it changed: dvm show, dvm transact verify\"}\n", stderr);
    return 70;
}

static int plain_start(char **words) {
    static char place[4096];
    ssize_t count = readlink("/proc/self/exe", place, sizeof place - 16);
    char *name = count > 0 ? memrchr(place, '/', (size_t)count) : NULL;
    if (name) {
        strcpy(name + 1, "dvm_python");
        execv(place, words);
    }
    fprintf(stderr, "{\"code\":\"not-found\",\"message\":\"cannot start %s: %s\",\"hint\":\"install drystone again\"}\n",
            place, strerror(errno));
    return 3;
}

int main(int count, char **words) {
    int is_command = count > 1 && strcmp(words[1], "serve") != 0; /* the server does not ask itself */
    int server = is_command ? connect_server() : -1;
    if (server >= 0) {
        sigset_t wanted, blocked;
        int signals, process = -1;
        pid_t worker = 0;
        sigemptyset(&wanted);
        for (size_t at = 0; at < sizeof FORWARDED / sizeof *FORWARDED; at++)
            sigaddset(&wanted, FORWARDED[at]);
        sigprocmask(SIG_BLOCK, &wanted, &blocked);
        if (make_request(server, words, &blocked) == 0 && send_request(server) == 0 &&
            (process = start_worker(server, &worker)) >= 0) {
            signals = signalfd(-1, &wanted, SFD_CLOEXEC);
            return follow(server, process, worker, signals, &blocked);
        }
        close(server);
        sigprocmask(SIG_SETMASK, &blocked, NULL);
    }
    return plain_start(words);
}
