"""The command server of `dvm`: a process that has Python and all tools in memory, and forks for each command.

It spares the start of Python and the imports, nothing else: it knows no group, keeps nothing between commands, and each
command is run by the same function as without it, in a process of its own that ends with it. After Mercurial's `chg`.

One connection a command, over a unix socket (SOCK_SEQPACKET):

    client                               server, then worker
                                    <-   "H": there is a worker
    request, with its open files    ->   (request.py)
                                    <-   "R" reason: not run, the client starts Python itself
                                    <-   "A" process id, with the process as a handle: ready
    "G"                             ->   from here on it is run, and never by the client
                                    <-   "E" wait status

Nothing is sent before "H": files that are on their way in a socket nobody reads from stay open with it, and whoever
reads from a pipe among them would not see its end.

What is not acknowledged by "A" is not run, as the worker waits for "G"; what was told "G" is not repeated by the
client, whatever happens. So a command is run at most once, and by whom is never in doubt.

A worker does a command only in the place of a process that is like it (`kernel.surroundings`: user, capabilities,
namespaces, root folder, ...) and that was started from the client of this very installation. It takes over what can be
taken over: words, environment, current folder, open files, umask, signals, limits, niceness, processors. What it does
not have is the client's terminal as its controlling one (no tool opens /dev/tty), its control group, and its place in
the tree of processes.

Signals that reach the client are passed on by the client itself. A client that is gone, however that came, has its
worker told SIGTERM, as `kill` would: a program that holds devices suspended is finished or unwound first. A server that
is gone leaves its workers at work, and they tell their clients the end.

`loop` accepts and forks, `worker` is one command, `rehearsal` makes workers quick, `installation` knows when the
program on the disk is another one by now.
"""
