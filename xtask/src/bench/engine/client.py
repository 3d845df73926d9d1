"""What the engine's benchmark asks of servers, as boto3 does; and signed requests for wrk to repeat."""
import concurrent.futures
import json
import sys
import zipfile
import io

import boto3
import botocore.auth
import botocore.awsrequest
from botocore.exceptions import ClientError

TRUST = {"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"Service": "codepipeline.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
MAY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


def action(category, provider, name, order, configuration=None, outputs=()):
    return {
        "name": name, "runOrder": order, "configuration": configuration or {},
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        "outputArtifacts": [{"name": output} for output in outputs],
    }


def pipeline(name, role):
    """A source and three actions that wait for a person: what starts moves and rests."""
    source = action("Source", "S3", "Source", 1, outputs=["SourceArtifact"], configuration={
        "S3Bucket": "artifacts", "S3ObjectKey": "source.zip", "PollForSourceChanges": "false"})
    steps = [action("Approval", "Manual", f"Step{n}", n) for n in (1, 2, 3)]
    return {
        "name": name, "roleArn": role, "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [{"name": "Source", "actions": [source]}, {"name": "Steps", "actions": steps}],
    }


def setup(count):
    iam, s3, codepipeline = (boto3.client(name) for name in ("iam", "s3", "codepipeline"))
    role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="bench", PolicyName="bench", PolicyDocument=json.dumps(MAY))
    s3.create_bucket(Bucket="artifacts")
    s3.put_bucket_versioning(Bucket="artifacts", VersioningConfiguration={"Status": "Enabled"})
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("file", "content")
    s3.put_object(Bucket="artifacts", Key="source.zip", Body=body.getvalue())
    create = lambda n: codepipeline.create_pipeline(pipeline=pipeline(f"p-{n}", role))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(create, range(count)))


def sign(operation, count, more, pace):
    """A script for wrk: requests of an operation for so many pipelines, signed now, repeated at random; with a pace, so
    many milliseconds lie between an answer and the next request."""
    session = boto3.session.Session()
    credentials, client = session.get_credentials(), session.client("codepipeline")
    url, region = client.meta.endpoint_url, client.meta.region_name
    member = "pipelineName" if operation.startswith("List") else "name"
    requests = []
    for n in range(count):
        body = json.dumps({member: f"p-{n}", **more})
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"CodePipeline_20150709.{operation}"}
        request = botocore.awsrequest.AWSRequest("POST", url + "/", data=body, headers=headers)
        botocore.auth.SigV4Auth(credentials, "codepipeline", region).add_auth(request)
        fields = ", ".join(f"[{json.dumps(k)}] = {json.dumps(v)}" for k, v in request.headers.items())
        requests.append(f"  wrk.format('POST', '/', {{ {fields} }}, {json.dumps(body)}),")
    print("local all\ninit = function() all = {\n" + "\n".join(requests) + "\n} end")
    print("request = function() return all[math.random(#all)] end")
    if pace:
        print(f"delay = function() return {pace} end")


try:
    {"setup": lambda: setup(int(sys.argv[2])), "sign": lambda: sign(sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]), int(sys.argv[5]))}[sys.argv[1]]()
except ClientError as error:
    sys.exit(f"{error}")
