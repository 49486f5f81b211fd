"""Reads OTLP requests with the official protobuf messages: a line of base64 each in, a line of JSON each out."""

import base64
import json
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

for line in sys.stdin:
    request = ExportMetricsServiceRequest()
    request.ParseFromString(base64.b64decode(line))
    # What our own messages do not know would be skipped in silence: written again, it must be the same length.
    if request.ByteSize() != len(base64.b64decode(line)):
        raise ValueError("the request holds something else than OTLP")
    print(json.dumps(MessageToDict(request)))
