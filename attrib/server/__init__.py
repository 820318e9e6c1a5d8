"""The live page: a question box, a queue in front of the models, and the stored explanations.

    guard    access: hosts, origins, token
    app      addresses → responses
    jobs     one question at a time, with progress; cancelled when nobody listens
    shelf    explanations stored in a folder, and their pages
    running  socket, event loop and orderly shutdown

Not covered: TLS and accounts (a reverse proxy's work), several models at once.
"""
