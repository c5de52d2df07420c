"""The web server of the central office: the depots' protocol, the accounting system's API, the people's pages."""
