"""The hub on a three-node NATS JetStream cluster: what a killed node and hub cost, and how fast it is."""
