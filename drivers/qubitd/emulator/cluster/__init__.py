"""A Qblox Cluster on the wire: modules in slots, six sequencers each, what they hold and what they play."""
