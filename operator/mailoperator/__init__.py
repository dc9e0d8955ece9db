"""Mailpod's control plane: custom resources in, Kubernetes objects and a directory out."""
