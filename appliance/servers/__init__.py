"""The native servers of the box: their generated configuration, and the roles that become them."""
