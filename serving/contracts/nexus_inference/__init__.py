"""The gRPC contract of engines, as Python: generated from `serving/contracts/nexus_inference.proto`."""
