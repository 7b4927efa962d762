"""A group's metadata as versions, without looking into them."""
