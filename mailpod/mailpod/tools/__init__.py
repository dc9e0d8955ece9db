"""What an administrator runs beside the pods: fsck, du, inspect, restore. Each prints; store/ reads and writes."""
