"""The API's client: requests that are repeated until they are answered, each done once; and waiting for what they asked
for. It is what the command line is made of, and imports neither the database nor the API's server."""
