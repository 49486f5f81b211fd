"""Reads a page of Prometheus' text format with its official client: the text in, a line of JSON for each sample out."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        line = {"family": family.name, "type": family.type, "help": family.documentation, "name": sample.name}
        print(json.dumps({**line, "labels": sample.labels, "value": sample.value}))
