"""The cluster for people, at an API server: dpvs, dvgs, volumes with their legs drawn, jobs and events, live.

    GET /               the whole, or the form that asks for a token
    GET /board          the part of it that changes, as HTML
    GET /dlvs/NAME      one volume, with its own events; /dlvs/NAME/board the part that changes
    GET /do/DEED        the form of a change; with ?sure=0 what it would do. POST does it
    POST /sign-in       keeps the token in a cookie; POST /sign-out forgets it

It works without scripts: one of its own only keeps the board up to date. A change goes the way of the API's routes,
with an idempotency key from the form; viewers are shown no forms. A token is in a cookie that no script reads and no
other site has sent, and what changes anything must say that it comes from this server. Agents do not get in.
"""
