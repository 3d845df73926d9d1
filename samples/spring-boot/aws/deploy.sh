#!/usr/bin/env bash
# shellcheck disable=SC2034 # render reads variables by their names
# Creates everything that a release of this service needs, from the roles to the pipeline, with the aws CLI.
#
#   APP         the name that everything carries (harbour)
#   ZONE        the hosted zone and name to serve (demo.longshore.test)
#   BASE_IMAGE  a Java 17 image at hand, pushed as the team's base (eclipse-temurin:17-jre)
#
# Endpoint, region and credentials come from the environment, as for any use of the CLI. destroy.sh undoes it.
set -euo pipefail

# shellcheck source=samples/spring-boot/aws/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
BASE_IMAGE=${BASE_IMAGE:-eclipse-temurin:17-jre}

# role NAME SERVICE [POLICY-FILE]: a role that SERVICE may assume.
role() {
    aws iam create-role --role-name "$APP-$1" \
        --assume-role-policy-document "$(render "roles/$2-trust.json")" >/dev/null
    if [ -n "${3:-}" ]; then
        aws iam put-role-policy --role-name "$APP-$1" --policy-name "$1" \
            --policy-document "$(render "roles/$3")"
    fi
}

tagged() { printf 'ResourceType=%s,Tags=[{Key=Name,Value=%s}]' "$1" "$2"; }

# What needs nothing else and gives nothing that has to be remembered; it runs beside the rest.
groundwork() {
    step "roles"
    role codepipeline codepipeline codepipeline-policy.json
    role codebuild codebuild codebuild-policy.json
    role events events events-policy.json
    role task ecs-tasks
    role ecs-execution ecs-tasks
    aws iam attach-role-policy --role-name "$APP-ecs-execution" \
        --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy
    aws iam wait role-exists --role-name "$APP-ecs-execution"

    step "artifact bucket, log groups, git repository"
    aws s3 mb "s3://$BUCKET"
    for group in "/ecs/$APP" "/aws/codebuild/$APP"; do
        aws logs create-log-group --log-group-name "$group"
        aws logs put-retention-policy --log-group-name "$group" --retention-in-days 7
    done
    aws codecommit create-repository --repository-name "$APP" \
        --repository-description "$APP and how it is built" >/dev/null
}
(set -e; groundwork) &
groundwork=$!

step "image repositories, with the team's base and a first image"
BASE_URI=$(aws ecr create-repository --repository-name "$APP-base" \
    --query repository.repositoryUri --output text)
APP_URI=$(aws ecr create-repository --repository-name "$APP" --query repository.repositoryUri --output text)
aws ecr get-login-password | docker login --username AWS --password-stdin "${APP_URI%%/*}"
docker tag "$BASE_IMAGE" "$BASE_URI:17"
docker push --quiet "$BASE_URI:17"
docker build --quiet --build-arg "BASE_IMAGE=$BASE_URI:17" --tag "$APP_URI:bootstrap" "$HERE/bootstrap"
docker push --quiet "$APP_URI:bootstrap"

step "network: a VPC with a subnet in each of two zones, open to the internet"
VPC=$(aws ec2 create-vpc --cidr-block 10.0.0.0/16 --tag-specifications "$(tagged vpc "$APP")" \
    --query Vpc.VpcId --output text)
aws ec2 wait vpc-available --vpc-ids "$VPC"
aws ec2 modify-vpc-attribute --vpc-id "$VPC" --enable-dns-hostnames
GATEWAY=$(aws ec2 create-internet-gateway --tag-specifications "$(tagged internet-gateway "$APP")" \
    --query InternetGateway.InternetGatewayId --output text)
aws ec2 attach-internet-gateway --internet-gateway-id "$GATEWAY" --vpc-id "$VPC"
ROUTES=$(aws ec2 create-route-table --vpc-id "$VPC" --tag-specifications "$(tagged route-table "$APP")" \
    --query RouteTable.RouteTableId --output text)
aws ec2 create-route --route-table-id "$ROUTES" --destination-cidr-block 0.0.0.0/0 \
    --gateway-id "$GATEWAY" >/dev/null
subnet() {
    local id
    id=$(aws ec2 create-subnet --vpc-id "$VPC" --cidr-block "$1" --availability-zone "$2" \
        --tag-specifications "$(tagged subnet "$APP")" --query Subnet.SubnetId --output text)
    aws ec2 associate-route-table --route-table-id "$ROUTES" --subnet-id "$id" >/dev/null
    printf '%s' "$id"
}
SUBNET_A=$(subnet 10.0.1.0/24 "${REGION}a")
SUBNET_B=$(subnet 10.0.2.0/24 "${REGION}b")

step "security groups: 80 from anywhere to the load balancer, 8080 from it to the app"
group() {
    aws ec2 create-security-group --vpc-id "$VPC" --group-name "$APP-$1" --description "$2" \
        --query GroupId --output text
}
BALANCER_GROUP=$(group balancer "The load balancer of $APP")
APP_GROUP=$(group app "The tasks of $APP")
aws ec2 authorize-security-group-ingress --group-id "$BALANCER_GROUP" --protocol tcp --port 80 \
    --cidr 0.0.0.0/0 >/dev/null
aws ec2 authorize-security-group-ingress --group-id "$APP_GROUP" --protocol tcp --port 8080 \
    --source-group "$BALANCER_GROUP" >/dev/null

step "load balancer"
read -r BALANCER BALANCER_NAME BALANCER_ZONE <<<"$(aws elbv2 create-load-balancer --name "$APP" \
    --type application --scheme internet-facing --subnets "$SUBNET_A" "$SUBNET_B" \
    --security-groups "$BALANCER_GROUP" --output text \
    --query 'LoadBalancers[0].[LoadBalancerArn,DNSName,CanonicalHostedZoneId]')"
TARGET_GROUP=$(aws elbv2 create-target-group --name "$APP" --target-type ip --protocol HTTP --port 8080 \
    --vpc-id "$VPC" --health-check-path /actuator/health --health-check-interval-seconds 5 \
    --health-check-timeout-seconds 3 --healthy-threshold-count 2 --unhealthy-threshold-count 3 \
    --query 'TargetGroups[0].TargetGroupArn' --output text)
# Five minutes by default, for which every rollout would wait.
aws elbv2 modify-target-group-attributes --target-group-arn "$TARGET_GROUP" \
    --attributes Key=deregistration_delay.timeout_seconds,Value=5 >/dev/null
LISTENER=$(aws elbv2 create-listener --load-balancer-arn "$BALANCER" --protocol HTTP --port 80 \
    --default-actions 'Type=fixed-response,FixedResponseConfig={StatusCode=404,ContentType=text/plain,MessageBody=nothing here}' \
    --query 'Listeners[0].ListenerArn' --output text)
aws elbv2 create-rule --listener-arn "$LISTENER" --priority 10 \
    --conditions 'Field=path-pattern,Values=/*' \
    --actions "Type=forward,TargetGroupArn=$TARGET_GROUP" >/dev/null

wait "$groundwork"
step "service: two tasks of the first image, behind the load balancer"
aws ecs create-cluster --cluster-name "$APP" >/dev/null
IMAGE=$APP_URI:bootstrap
aws ecs register-task-definition --cli-input-json "$(render task-definition.json)" >/dev/null
aws ecs create-service --cli-input-json "$(render service.json)" >/dev/null

step "name: $ZONE"
ZONE_ID=$(aws route53 create-hosted-zone --name "$ZONE" --caller-reference "$APP-$(date +%s)" \
    --query HostedZone.Id --output text)
ACTION=CREATE
aws route53 change-resource-record-sets --hosted-zone-id "$ZONE_ID" \
    --change-batch "$(render alias-record.json)" >/dev/null

step "build project, pipeline, and the rule by which a push starts it"
aws codebuild create-project --cli-input-json "$(render build-project.json)" >/dev/null
aws codepipeline create-pipeline --cli-input-json "$(render pipeline.json)" >/dev/null
aws events put-rule --name "$APP-push" --event-pattern "$(render push-rule.json)" >/dev/null
aws events put-targets --rule "$APP-push" --targets \
    "Id=pipeline,Arn=arn:aws:codepipeline:$REGION:$ACCOUNT_ID:$APP,RoleArn=arn:aws:iam::$ACCOUNT_ID:role/$APP-events" \
    >/dev/null
