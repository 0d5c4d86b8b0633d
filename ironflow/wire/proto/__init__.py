"""The messages and services of ironflow.v1, made by `scripts/protos`."""
