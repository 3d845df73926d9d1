#!/usr/bin/env bash
# shellcheck disable=SC2034 # render reads variables by their names
# Removes what deploy.sh made, also when it was interrupted: what is not there is passed over.
set -uo pipefail

# shellcheck source=samples/spring-boot/aws/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Runs a command of which "not there" is a fine answer; says any other failure, and goes on.
try() {
    local said
    said=$("$@" 2>&1 >/dev/null) && return
    case $said in
    *NotFound* | *NoSuch* | *DoesNotExist* | *NotActive* | *"not found"* | *"does not exist"*) ;;
    *) printf '%s\n' "$said" >&2; failed=1 ;;
    esac
}

# The words that a query gives, or nothing: for resources that are found by their name.
ids() { aws "$@" --output text 2>/dev/null | sed '/^None$/d'; }
named() { printf 'Name=tag:Name,Values=%s' "$APP"; }
failed=0

step "pipeline, rule, build project"
try aws events remove-targets --rule "$APP-push" --ids pipeline
try aws events delete-rule --name "$APP-push"
try aws codepipeline delete-pipeline --name "$APP"
try aws codebuild delete-project --name "$APP"

step "name"
BALANCER=$(ids elbv2 describe-load-balancers --names "$APP" --query 'LoadBalancers[0].LoadBalancerArn')
ZONE_ID=$(ids route53 list-hosted-zones-by-name --dns-name "$ZONE" \
    --query "HostedZones[?Name=='$ZONE.'].Id | [0]")
if [ -n "$ZONE_ID" ]; then
    read -r BALANCER_NAME BALANCER_ZONE <<<"$(ids route53 list-resource-record-sets \
        --hosted-zone-id "$ZONE_ID" \
        --query "ResourceRecordSets[?Type=='A'].AliasTarget.[DNSName,HostedZoneId]")"
    if [ -n "$BALANCER_NAME" ]; then
        ACTION=DELETE
        try aws route53 change-resource-record-sets --hosted-zone-id "$ZONE_ID" \
            --change-batch "$(render alias-record.json)"
    fi
    try aws route53 delete-hosted-zone --id "$ZONE_ID"
fi

step "service"
try aws ecs delete-service --cluster "$APP" --service "$APP" --force
if [ -n "$(ids ecs describe-services --cluster "$APP" --services "$APP" --query 'services[0].status')" ]; then
    try aws ecs wait services-inactive --cluster "$APP" --services "$APP"
fi
for definition in $(ids ecs list-task-definitions --family-prefix "$APP" --query 'taskDefinitionArns'); do
    try aws ecs deregister-task-definition --task-definition "$definition"
done
try aws ecs delete-cluster --cluster "$APP"

step "load balancer"
if [ -n "$BALANCER" ]; then
    try aws elbv2 delete-load-balancer --load-balancer-arn "$BALANCER"
    try aws elbv2 wait load-balancers-deleted --load-balancer-arns "$BALANCER"
fi
TARGET_GROUP=$(ids elbv2 describe-target-groups --names "$APP" --query 'TargetGroups[0].TargetGroupArn')
[ -z "$TARGET_GROUP" ] || try aws elbv2 delete-target-group --target-group-arn "$TARGET_GROUP"

step "network"
for vpc in $(ids ec2 describe-vpcs --filters "$(named)" --query 'Vpcs[].VpcId'); do
    # The app's group names the balancer's: it goes first.
    for group in "$APP-app" "$APP-balancer"; do
        for id in $(ids ec2 describe-security-groups --filters "Name=vpc-id,Values=$vpc" \
            "Name=group-name,Values=$group" --query 'SecurityGroups[].GroupId'); do
            try aws ec2 delete-security-group --group-id "$id"
        done
    done
    for id in $(ids ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" --query 'Subnets[].SubnetId'); do
        try aws ec2 delete-subnet --subnet-id "$id"
    done
    for id in $(ids ec2 describe-route-tables --filters "Name=vpc-id,Values=$vpc" "$(named)" \
        --query 'RouteTables[].RouteTableId'); do
        try aws ec2 delete-route-table --route-table-id "$id"
    done
    for id in $(ids ec2 describe-internet-gateways --filters "Name=attachment.vpc-id,Values=$vpc" \
        --query 'InternetGateways[].InternetGatewayId'); do
        try aws ec2 detach-internet-gateway --internet-gateway-id "$id" --vpc-id "$vpc"
        try aws ec2 delete-internet-gateway --internet-gateway-id "$id"
    done
    try aws ec2 delete-vpc --vpc-id "$vpc"
done

step "repositories, artifacts, logs"
try aws ecr delete-repository --repository-name "$APP" --force
try aws ecr delete-repository --repository-name "$APP-base" --force
try aws codecommit delete-repository --repository-name "$APP"
try aws s3 rb "s3://$BUCKET" --force
try aws logs delete-log-group --log-group-name "/ecs/$APP"
try aws logs delete-log-group --log-group-name "/aws/codebuild/$APP"

step "roles"
try aws iam detach-role-policy --role-name "$APP-ecs-execution" \
    --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy
for role in codepipeline codebuild events; do
    try aws iam delete-role-policy --role-name "$APP-$role" --policy-name "$role"
done
for role in codepipeline codebuild events task ecs-execution; do
    try aws iam delete-role --role-name "$APP-$role"
done
exit "$failed"
