"""Makes the calls that standard input describes with the library whose module it names.

Prints the errors that the library has told of, as a JSON list, once everything is sent or given up.
"""

import importlib
import json
import sys
from datetime import datetime



def number(value):
    """A number that JSON does not have, which is described as {"float": "nan"}."""
    return float(value["float"]) if list(value) == ["float"] else value


task = json.load(sys.stdin, object_hook=number)
errors = []
analytics = importlib.import_module(task["module"]).Client(
    task["writeKey"],
    host=task["host"],
    on_error=lambda error, _batch: errors.append(str(error)),
    **task["settings"],
)

for call in task["calls"]:
    common = {
        "user_id": call["userId"],
        "properties": call["properties"],
        "context": call.get("context"),
        "integrations": call.get("integrations"),
    }
    if "timestamp" in call:
        common["timestamp"] = datetime.fromisoformat(call["timestamp"].replace("Z", "+00:00"))
    if call["type"] == "track":
        analytics.track(event=call["event"], **common)
    else:
        analytics.page(category=call.get("category"), name=call["name"], **common)

analytics.shutdown()
json.dump(errors, sys.stdout)
