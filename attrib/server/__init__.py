"""The same page, live: a question box, a queue in front of the models, and the explanations that were kept.

    guard    who may speak to the server at all
    app      addresses → answers
    jobs     one question at a time, told about while it runs, ended when nobody waits for it
    shelf    explanations kept in a folder, and their pages
    running  a socket, a loop, and leaving in good order

Not covered: TLS and accounts (a reverse proxy's work), several models at once.
"""
