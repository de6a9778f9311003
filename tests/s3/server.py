"""A server that speaks S3 (moto), with one bucket and one key that may do everything in it. Requests that are not signed with that key are refused,
as by any other server. Says where it is and what the key is, as one line of JSON; answers `objects` (names and sizes), `uploads` (those in parts that
are not whole) and `drop NAME`, each with a line; and ends when its input does."""

import json
import sys

import boto3
import requests
from moto.iam.access_control import S3IAMRequest
from moto.server import ThreadedMotoServer

BUCKET = "calls"
REGION = "us-east-1"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}

calculate = S3IAMRequest._calculate_signature


def as_it_was_sent(request):
    """What is signed is the query as it was sent; moto has it decoded."""
    path, mark, query = request._path.partition("?")
    request._path = path + mark + query.replace("/", "%2F")
    return calculate(request)


S3IAMRequest._calculate_signature = as_it_was_sent
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"


def client(service, key="first", secret="first"):
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret)


client("s3").create_bucket(Bucket=BUCKET)
iam = client("iam")
iam.create_user(UserName="althing")
iam.put_user_policy(UserName="althing", PolicyName="everything", PolicyDocument=json.dumps(POLICY))
key = iam.create_access_key(UserName="althing")["AccessKey"]
# From here on signatures are looked at.
requests.post(f"{endpoint}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
print(json.dumps({"endpoint": endpoint, "bucket": BUCKET, "access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}), flush=True)
bucket = client("s3", key["AccessKeyId"], key["SecretAccessKey"])
for line in sys.stdin:
    match line.split():
        case ["objects"]:
            pages = bucket.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
            print(json.dumps({entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}), flush=True)
        case ["uploads"]:
            print(len(bucket.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])), flush=True)
        case ["drop", name]:
            bucket.delete_object(Bucket=BUCKET, Key=name)
            print("{}", flush=True)
server.stop()
