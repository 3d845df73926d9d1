"""The tour by boto3: what its resources, waiters and paginators ask for on the way. Prints `done`."""
import base64
import datetime
import io
import json
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

FAST = {"Delay": 1, "MaxAttempts": 120}


def refused(code, call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (call.__name__, error)
    else:
        raise AssertionError(f"{call.__name__} should have failed with {code}, but answered {answer}")


def eventually_free(delete):
    """What a load balancer leaves is gone a moment after it, as in AWS, and clients ask again."""
    for _ in range(600):
        try:
            return delete()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "DependencyViolation", error
            time.sleep(0.1)
    raise AssertionError("the load balancer's interfaces have stayed")


def identity():
    sts, iam = boto3.client("sts"), boto3.client("iam")
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    services = ["codebuild.amazonaws.com", "codepipeline.amazonaws.com", "ecs-tasks.amazonaws.com"]
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/tourist"}, "Action": "sts:AssumeRole"},
    ]}
    iam.create_user(UserName="tourist")
    iam.get_waiter("user_exists").wait(UserName="tourist", WaiterConfig=FAST)
    role = iam.create_role(RoleName="tour", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.get_waiter("role_exists").wait(RoleName="tour", WaiterConfig=FAST)
    assert iam.get_role(RoleName="tour")["Role"]["AssumeRolePolicyDocument"] == trust
    alone = {**trust, "Statement": trust["Statement"][:1]}
    iam.update_assume_role_policy(RoleName="tour", PolicyDocument=json.dumps(alone))
    assert iam.get_role(RoleName="tour")["Role"]["AssumeRolePolicyDocument"] == alone
    iam.update_assume_role_policy(RoleName="tour", PolicyDocument=json.dumps(trust))
    managed = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
    iam.attach_role_policy(RoleName="tour", PolicyArn=managed)
    assert [p["PolicyArn"] for p in iam.list_attached_role_policies(RoleName="tour")["AttachedPolicies"]] == [managed]
    assert iam.list_instance_profiles_for_role(RoleName="tour")["InstanceProfiles"] == []

    # The user may do what the role may, once it has taken the role, and nothing before.
    key = iam.create_access_key(UserName="tourist")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    user = boto3.session.Session(**keys)
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert used["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}, used
    refused("AccessDenied", user.client("s3").list_buckets)
    refused("AccessDenied", user.client("iam").list_users)
    session = user.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="seen")["Credentials"]
    taken = boto3.session.Session(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    last = used["AccessKeyLastUsed"]
    assert (used["UserName"], last["ServiceName"], last["Region"]) == ("tourist", "sts", "us-east-1"), used
    assert last["LastUsedDate"] >= key["CreateDate"], used
    assert taken.client("sts").get_caller_identity()["Arn"] == "arn:aws:sts::000000000000:assumed-role/tour/seen"
    taken.client("s3").list_buckets()
    refused("AccessDenied", taken.client("iam").list_users)
    iam.delete_access_key(UserName="tourist", AccessKeyId=key["AccessKeyId"])
    refused("InvalidClientTokenId", user.client("sts").get_caller_identity)
    iam.delete_user(UserName="tourist")
    return role["Arn"]


def farewell():
    iam = boto3.resource("iam")
    role = iam.Role("tour")
    for policy in role.attached_policies.all():
        role.detach_policy(PolicyArn=policy.arn)
    role.delete()
    refused("NoSuchEntity", boto3.client("iam").get_role, RoleName="tour")


def s3():
    client = boto3.client("s3")
    bucket = boto3.resource("s3").Bucket("tour")
    bucket.create()
    bucket.wait_until_exists()
    here = {"Bucket": "tour"}
    # What Terraform reads back of a bucket.
    client.head_bucket(**here)
    assert client.get_bucket_location(**here)["LocationConstraint"] is None
    assert "Status" not in client.get_bucket_versioning(**here)
    assert client.get_bucket_acl(**here)["Grants"][0]["Permission"] == "FULL_CONTROL"
    rule = client.get_bucket_encryption(**here)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert client.get_bucket_request_payment(**here)["Payer"] == "BucketOwner"
    assert "LoggingEnabled" not in client.get_bucket_logging(**here)
    assert "Status" not in client.get_bucket_accelerate_configuration(**here)
    refused("NoSuchBucketPolicy", client.get_bucket_policy, **here)
    refused("NoSuchTagSet", client.get_bucket_tagging, **here)
    refused("NoSuchCORSConfiguration", client.get_bucket_cors, **here)
    refused("NoSuchWebsiteConfiguration", client.get_bucket_website, **here)
    refused("NoSuchLifecycleConfiguration", client.get_bucket_lifecycle_configuration, **here)
    refused("ReplicationConfigurationNotFoundError", client.get_bucket_replication, **here)
    refused("ObjectLockConfigurationNotFoundError", client.get_object_lock_configuration, **here)
    client.get_bucket_ownership_controls(**here)
    client.get_public_access_block(**here)

    bucket.Versioning().enable()
    data = bytes(range(256)) * 40_000
    client.upload_fileobj(io.BytesIO(data), "tour", "deep/large")
    kept = io.BytesIO()
    client.download_fileobj("tour", "deep/large", kept)
    assert kept.getvalue() == data
    part = client.get_object(**here, Key="deep/large", Range="bytes=256-259")
    assert (part["Body"].read(), part["ContentRange"]) == (b"\0\1\2\3", f"bytes 256-259/{len(data)}")
    made = client.put_object(**here, Key="a b+ü", Body=b"one", ChecksumAlgorithm="SHA256", Metadata={"on": "tour"})
    client.get_waiter("object_exists").wait(**here, Key="a b+ü", WaiterConfig=FAST)
    head = client.head_object(**here, Key="a b+ü", ChecksumMode="ENABLED")
    assert (head["Metadata"], head["ChecksumSHA256"]) == ({"on": "tour"}, made["ChecksumSHA256"])
    client.copy_object(**here, Key="copy", CopySource={"Bucket": "tour", "Key": "a b+ü"})
    # Left to itself, boto3 signs URLs of us-east-1 with Signature Version 2.
    version_4 = boto3.client("s3", config=Config(signature_version="s3v4"))
    for signer, signed in [(client, "AWSAccessKeyId="), (version_4, "X-Amz-Signature=")]:
        url = signer.generate_presigned_url("get_object", Params={**here, "Key": "copy"}, ExpiresIn=60)
        assert signed in url and urllib.request.urlopen(url).read() == b"one", url
    listed = client.list_objects_v2(**here, Delimiter="/")
    assert [c["Key"] for c in listed["Contents"]] == ["a b+ü", "copy"]
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["deep/"]
    bucket.objects.all().delete()
    assert list(bucket.objects.all()) == [] and len(list(bucket.object_versions.all())) == 6
    bucket.object_versions.all().delete()
    bucket.delete()
    bucket.wait_until_not_exists()


def logs():
    client = boto3.client("logs")
    names = {"logGroupName": "/tour", "logStreamName": "one"}
    client.create_log_group(logGroupName="/tour")
    client.create_log_stream(**names)
    now = int(datetime.datetime.now().timestamp() * 1000)
    events = [{"timestamp": now + i, "message": f"line {i}"} for i in range(25)]
    client.put_log_events(**names, logEvents=events)
    pages = client.get_paginator("filter_log_events").paginate(logGroupName="/tour", PaginationConfig={"PageSize": 10})
    assert [e["message"] for page in pages for e in page["events"]] == [e["message"] for e in events]
    stream = client.describe_log_streams(logGroupName="/tour")["logStreams"][0]
    assert (stream["logStreamName"], stream["firstEventTimestamp"]) == ("one", now)
    group = client.describe_log_groups(logGroupNamePrefix="/tour")["logGroups"][0]
    assert group["arn"] == group["logGroupArn"] + ":*" == "arn:aws:logs:us-east-1:000000000000:log-group:/tour:*"
    client.put_retention_policy(logGroupName="/tour", retentionInDays=3)
    client.delete_retention_policy(logGroupName="/tour")
    assert "retentionInDays" not in client.describe_log_groups(logGroupNamePrefix="/tour")["logGroups"][0]
    client.delete_log_group(logGroupName="/tour")
    refused("ResourceNotFoundException", client.get_log_events, **names)


def network():
    client = boto3.client("ec2")
    vpc = boto3.resource("ec2").create_vpc(CidrBlock="10.7.0.0/16")
    vpc.wait_until_available()
    subnets = [vpc.create_subnet(CidrBlock=f"10.7.{i}.0/24", AvailabilityZone=f"us-east-1{zone}").id
               for i, zone in enumerate("ab")]
    client.get_waiter("subnet_available").wait(SubnetIds=subnets, WaiterConfig=FAST)
    gateway = boto3.resource("ec2").create_internet_gateway()
    vpc.attach_internet_gateway(InternetGatewayId=gateway.id)
    table = list(vpc.route_tables.all())[0]
    table.create_route(DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway.id)
    table.reload()
    assert {r.destination_cidr_block for r in table.routes} == {"10.7.0.0/16", "0.0.0.0/0"}
    group = vpc.create_security_group(GroupName="tour", Description="tour")
    opened = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    group.authorize_ingress(IpPermissions=[opened])
    refused("InvalidPermission.Duplicate", group.authorize_ingress, IpPermissions=[opened])
    group.revoke_ingress(IpPermissions=[opened])
    group.reload()
    assert group.ip_permissions == []
    assert client.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}])["NetworkInterfaces"] == []
    assert {a["AttributeName"] for a in client.describe_account_attributes()["AccountAttributes"]} >= {"default-vpc"}
    balancer(vpc.id, subnets, group.id)
    zones = client.describe_availability_zones()["AvailabilityZones"]
    assert {z["ZoneName"] for z in zones} >= {"us-east-1a", "us-east-1b"}
    assert "us-east-1" in {r["RegionName"] for r in client.describe_regions()["Regions"]}
    client.modify_subnet_attribute(SubnetId=subnets[0], MapPublicIpOnLaunch={"Value": True})
    assert client.describe_subnets(SubnetIds=subnets[:1])["Subnets"][0]["MapPublicIpOnLaunch"]
    vpc.create_tags(Tags=[{"Key": "on", "Value": "tour"}])
    client.delete_tags(Resources=[vpc.id], Tags=[{"Key": "on"}])
    assert client.describe_tags(Filters=[{"Name": "resource-id", "Values": [vpc.id]}])["Tags"] == []
    address = client.allocate_address(Domain="vpc")["AllocationId"]
    assert client.describe_addresses(AllocationIds=[address])["Addresses"][0]["Domain"] == "vpc"
    nat = client.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)["NatGateway"]["NatGatewayId"]
    client.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat], WaiterConfig=FAST)
    client.delete_nat_gateway(NatGatewayId=nat)
    client.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[nat], WaiterConfig=FAST)
    client.release_address(AllocationId=address)
    eventually_free(group.delete)
    table.routes[-1].delete() if table.routes[-1].gateway_id == gateway.id else table.routes[0].delete()
    vpc.detach_internet_gateway(InternetGatewayId=gateway.id)
    gateway.delete()
    for subnet in subnets:
        client.delete_subnet(SubnetId=subnet)
    vpc.delete()
    refused("InvalidVpcID.NotFound", client.describe_vpcs, VpcIds=[vpc.id])


def balancer(vpc, subnets, group):
    client = boto3.client("elbv2")
    made = client.create_load_balancer(Name="tour", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    client.get_waiter("load_balancer_available").wait(LoadBalancerArns=[arn], WaiterConfig=FAST)
    again = client.create_load_balancer(Name="tour", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    assert again["LoadBalancerArn"] == arn, "the same request answers with what is there"
    targets = client.create_target_group(Name="tour", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")
    targets = targets["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": targets}]
    listener = client.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
    listener = listener["Listeners"][0]["ListenerArn"]
    assert client.describe_rules(ListenerArn=listener)["Rules"][0]["IsDefault"]
    client.describe_listener_attributes(ListenerArn=listener)
    server = {"Key": "routing.http.response.server.enabled", "Value": "true"}
    kept = client.modify_listener_attributes(ListenerArn=listener, Attributes=[server])["Attributes"]
    assert server in kept, kept
    client.set_subnets(LoadBalancerArn=arn, Subnets=subnets)
    client.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[group])
    assert client.describe_ssl_policies(Names=["ELBSecurityPolicy-TLS13-1-2-2021-06"])["SslPolicies"]
    rule = client.create_rule(ListenerArn=listener, Priority=5, Actions=forward, Conditions=[
        {"Field": "path-pattern", "Values": ["/a"]}])["Rules"][0]["RuleArn"]
    moved = client.set_rule_priorities(RulePriorities=[{"RuleArn": rule, "Priority": 7}])["Rules"]
    assert [r["Priority"] for r in moved] == ["7"]
    client.describe_capacity_reservation(LoadBalancerArn=arn)
    client.add_tags(ResourceArns=[arn], Tags=[{"Key": "on", "Value": "tour"}])
    described = client.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    assert described == [{"Key": "on", "Value": "tour"}]
    client.delete_load_balancer(LoadBalancerArn=arn)
    client.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[arn], WaiterConfig=FAST)
    client.delete_target_group(TargetGroupArn=targets)


def route53():
    client = boto3.client("route53")
    zone = client.create_hosted_zone(Name="tour.test", CallerReference="tour")["HostedZone"]["Id"]
    record = {"Name": "www.tour.test", "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": '"hello"'}]}

    def change(action):
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        done = client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]["Id"]
        client.get_waiter("resource_record_sets_changed").wait(Id=done, WaiterConfig=FAST)

    change("CREATE")
    refused("InvalidChangeBatch", change, action="CREATE")
    client.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone.split("/")[-1],
                                    AddTags=[{"Key": "on", "Value": "tour"}])
    client.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone.split("/")[-1], RemoveTagKeys=["on"])
    assert client.get_dnssec(HostedZoneId=zone)["Status"]["ServeSignature"] == "NOT_SIGNING"
    assert client.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone.split("/")[-1])["ResourceTagSet"]["Tags"] == []
    change("DELETE")
    client.delete_hosted_zone(Id=zone)
    refused("NoSuchHostedZone", client.get_hosted_zone, Id=zone)


def apps(role):
    commit, ecr, build = boto3.client("codecommit"), boto3.client("ecr"), boto3.client("codebuild")
    made = commit.create_repository(repositoryName="tour")["repositoryMetadata"]
    first = commit.create_commit(repositoryName="tour", branchName="main", putFiles=[
        {"filePath": "a", "fileContent": b"one"}, {"filePath": "b/c", "fileContent": b"two"}])["commitId"]
    assert commit.get_file(repositoryName="tour", filePath="b/c")["fileContent"] == b"two"
    assert commit.get_commit(repositoryName="tour", commitId=first)["commit"]["parents"] == []
    changes = commit.get_differences(repositoryName="tour", afterCommitSpecifier=first)["differences"]
    assert [c["afterBlob"]["path"] for c in changes] == ["a", "b/c"]
    assert commit.list_tags_for_resource(resourceArn=made["Arn"])["tags"] == {}
    assert commit.delete_repository(repositoryName="tour")["repositoryId"] == made["repositoryId"]

    ecr.create_repository(repositoryName="tour")
    token = ecr.get_authorization_token()["authorizationData"][0]
    assert base64.b64decode(token["authorizationToken"]).startswith(b"AWS:")
    assert token["proxyEndpoint"].startswith("http")
    refused("RepositoryAlreadyExistsException", ecr.create_repository, repositoryName="tour")
    assert ecr.describe_images(repositoryName="tour")["imageDetails"] == []
    untagged = {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1}
    policy = {"rules": [{"rulePriority": 1, "selection": untagged, "action": {"type": "expire"}}]}
    refused("LifecyclePolicyNotFoundException", ecr.get_lifecycle_policy, repositoryName="tour")
    ecr.put_lifecycle_policy(repositoryName="tour", lifecyclePolicyText=json.dumps(policy))
    assert json.loads(ecr.get_lifecycle_policy(repositoryName="tour")["lifecyclePolicyText"]) == policy
    ecr.put_image_scanning_configuration(repositoryName="tour", imageScanningConfiguration={"scanOnPush": False})
    ecr.delete_repository(repositoryName="tour")

    project = {
        "name": "tour", "serviceRole": role, "artifacts": {"type": "NO_ARTIFACTS"},
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"},
        "environment": {"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
    }
    made = build.create_project(**project)["project"]
    assert build.batch_get_projects(names=["tour"])["projects"] == [made]
    refused("ResourceAlreadyExistsException", build.create_project, **project)
    assert build.list_curated_environment_images()["platforms"]
    assert build.list_source_credentials()["sourceCredentialsInfos"] == []
    build.delete_project(name="tour")

    pipelines(role)
    ecs(role)


def pipelines(role):
    client = boto3.client("codepipeline")
    kind = {"owner": "AWS", "version": "1"}
    source = {"name": "Get", "actionTypeId": {"category": "Source", "provider": "CodeCommit", **kind},
              "configuration": {"RepositoryName": "r", "BranchName": "main", "PollForSourceChanges": "false"},
              "outputArtifacts": [{"name": "App"}]}
    approval = {"name": "Ask", "actionTypeId": {"category": "Approval", "provider": "Manual", **kind}}
    pipeline = {"name": "tour", "roleArn": role, "artifactStore": {"type": "S3", "location": "tour-artifacts"}, "stages": [
        {"name": "Source", "actions": [source]}, {"name": "Check", "actions": [approval]}]}
    made = client.create_pipeline(pipeline=pipeline, tags=[{"key": "on", "value": "tour"}])["pipeline"]
    got = client.get_pipeline(name="tour")
    assert got["pipeline"] == made
    arn = got["metadata"]["pipelineArn"]
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "on", "value": "tour"}]
    assert client.update_pipeline(pipeline=made)["pipeline"]["version"] == 2
    assert client.get_pipeline(name="tour", version=1)["pipeline"]["version"] == 1
    refused("PipelineNameInUseException", client.create_pipeline, pipeline=pipeline)
    refused("PipelineVersionNotFoundException", client.get_pipeline, name="tour", version=9)
    pages = client.get_paginator("list_pipelines").paginate()
    assert [p["name"] for page in pages for p in page["pipelines"]] == ["tour"]
    client.delete_pipeline(name="tour")


def events():
    client = boto3.client("events")
    pattern = {"source": ["aws.codecommit"], "detail": {"referenceName": ["main"]}}
    rule = client.put_rule(Name="tour", EventPattern=json.dumps(pattern))["RuleArn"]
    assert client.describe_rule(Name="tour")["Arn"] == rule
    group = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/events/tour"
    assert client.put_targets(Rule="tour", Targets=[{"Id": "log", "Arn": group}])["FailedEntryCount"] == 0
    assert client.list_targets_by_rule(Rule="tour")["Targets"] == [{"Id": "log", "Arn": group}]
    assert client.list_rule_names_by_target(TargetArn=group)["RuleNames"] == ["tour"]
    assert client.list_tags_for_resource(ResourceARN=rule)["Tags"] == []
    client.disable_rule(Name="tour")
    pages = client.get_paginator("list_rules").paginate(NamePrefix="tour")
    assert [r["State"] for page in pages for r in page["Rules"]] == ["DISABLED"]
    client.remove_targets(Rule="tour", Ids=["log"])
    client.delete_rule(Name="tour")
    refused("ResourceNotFoundException", client.describe_rule, Name="tour")


def acm():
    # The certificate is issued once its record is in a zone of ours: what Terraform's validation does.
    client, names = boto3.client("acm"), boto3.client("route53")
    zone = names.create_hosted_zone(Name="sealed.test", CallerReference="sealed")["HostedZone"]["Id"]
    arn = client.request_certificate(DomainName="sealed.test", ValidationMethod="DNS")["CertificateArn"]
    described = client.describe_certificate(CertificateArn=arn)["Certificate"]
    assert described["Status"] == "PENDING_VALIDATION", described
    record = described["DomainValidationOptions"][0]["ResourceRecord"]
    wanted = {"Name": record["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": record["Value"]}]}

    def change(action):
        names.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={
            "Changes": [{"Action": action, "ResourceRecordSet": wanted}]})

    change("CREATE")
    client.get_waiter("certificate_validated").wait(CertificateArn=arn, WaiterConfig=FAST)
    issued = client.get_certificate(CertificateArn=arn)
    assert "BEGIN CERTIFICATE" in issued["Certificate"] and "BEGIN CERTIFICATE" in issued["CertificateChain"]
    assert [c["CertificateArn"] for c in client.list_certificates()["CertificateSummaryList"]] == [arn]
    assert client.list_tags_for_certificate(CertificateArn=arn)["Tags"] == []
    client.delete_certificate(CertificateArn=arn)
    refused("ResourceNotFoundException", client.describe_certificate, CertificateArn=arn)
    change("DELETE")
    names.delete_hosted_zone(Id=zone)


def ecs(role):
    client = boto3.client("ecs")
    client.create_cluster(clusterName="tour")
    assert client.describe_clusters(clusters=["tour"])["clusters"][0]["status"] == "ACTIVE"
    client.put_cluster_capacity_providers(cluster="tour", capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=[])
    client.describe_capacity_providers(capacityProviders=["FARGATE"])
    container = {"name": "web", "image": "x", "memory": 64, "essential": True}
    task = client.register_task_definition(family="tour", taskRoleArn=role, containerDefinitions=[container])
    task = task["taskDefinition"]
    assert client.describe_task_definition(taskDefinition="tour")["taskDefinition"] == task
    client.create_service(cluster="tour", serviceName="tour", taskDefinition="tour", desiredCount=0)
    client.get_waiter("services_stable").wait(cluster="tour", services=["tour"], WaiterConfig=FAST)
    service = client.describe_services(cluster="tour", services=["tour"])["services"][0]
    assert (service["status"], service["taskDefinition"]) == ("ACTIVE", task["taskDefinitionArn"])
    rolled = client.list_service_deployments(cluster="tour", service="tour")["serviceDeployments"]
    revision = rolled[0]["targetServiceRevisionArn"]
    described = client.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    assert described[0]["taskDefinition"] == task["taskDefinitionArn"], described
    client.list_account_settings(effectiveSettings=True)
    client.list_container_instances(cluster="tour")
    refused("ClusterContainsServicesException", client.delete_cluster, cluster="tour")
    client.delete_service(cluster="tour", service="tour")
    client.get_waiter("services_inactive").wait(cluster="tour", services=["tour"], WaiterConfig=FAST)
    client.deregister_task_definition(taskDefinition=task["taskDefinitionArn"])
    client.delete_cluster(cluster="tour")


role = identity()
s3()
logs()
network()
route53()
acm()
events()
apps(role)
farewell()
print("done")
