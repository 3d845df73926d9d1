"""Calls of boto3 as a test asks for them, one JSON object a line: Python and boto3 start once, not for every question."""
import json
import sys

import boto3

clients = {}
for line in sys.stdin:
    call = json.loads(line)
    service = call["service"]
    try:
        if service not in clients:
            clients[service] = boto3.client(service)
        answer = getattr(clients[service], call["operation"])(**call["parameters"])
        answer.pop("ResponseMetadata", None)
        told = {"answer": answer}
    except Exception as error:  # The test decides what an error means.
        told = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(told, default=str), flush=True)
