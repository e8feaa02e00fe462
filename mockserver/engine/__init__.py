"""The engine decides; the edge performs.

State, a request and `now` go in; an outcome comes out: the response, and the effects that the edge is to perform. The
same state, request and instant give the same outcome. Nothing here waits, opens a socket, or reads a clock or unseeded
randomness. The files, in import order (each imports only those before it; tests/test_architecture.py checks that):

    leaves        walks through JSON
    messages      requests, responses, forms and files, as values
    routes        finds the operation for a method and a path
    body          strict JSON parsing
    limits        rate limits and quotas over windows of time
    targets       where callbacks may go
    transmission  the bytes of a response, and how they are sent
    accounts      accounts and their ledger of reservations
    course        what was recorded of a task, to be shown again
    task          tasks: status as a function of time
    sights        a task's place in the queue, and its log
    signing       how callbacks are signed
    subscriptions where callbacks go, which are wanted, and what signs them
    client_time   waits in the client's seconds
    callbacks     callbacks as values, and the queue of what is due
    stages        the states on the way that callbacks tell of
    keeping       how much is kept, and what makes room
    models        which model a name stands for
    state         one provider's accounts, tasks, files and links
    context       what is known of a request, and what templates read of it
    renewal       puts new ids, links and times into what was recorded
    render        responses, errors and callback bodies
    idempotency   submits that are sent again with their key
    watching      requests that stay open while their task goes on
    kinds         kinds of task, and tasks that go on from another one
    admission     the gates
    replay        which recorded submit a new one is like
    faults        the hooks of a fault, and what it is applied to
    rules         where, when and how often a fault applies
    injection     finds the faults for a request, and applies them
    listing       lists an account's tasks
    results       serves the files of tasks
    operations    what each operation does with an accepted request
    deletion      deletes tasks
    world         handles requests; makes and records callback deliveries
    commands      hold, release, complete, fail, cancel
"""
