# shellcheck shell=bash
# Follows one release with the aws CLI alone. Needs say.sh, APP, and the environment that server_use sets.

seconds() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(seconds)" 'BEGIN { printf "%.1f", b - a }'; }
at() { printf '  %6s s  %s\n' "$(since "$started")" "$*"; }

# The execution of a commit; the push needs a moment to become one.
release_find() {
    local id left=60
    while [ "$left" -gt 0 ]; do
        id=$(aws codepipeline list-pipeline-executions --pipeline-name "$APP" --output text --query \
            "pipelineExecutionSummaries[?sourceRevisions[?revisionId=='$1']].pipelineExecutionId | [0]")
        [ "$id" != None ] && printf '%s\n' "$id" && return
        left=$((left - 1))
        sleep 0.5
    done
    die "no execution of commit $1 in pipeline $APP: a push should have started one"
}

# Prints each action's status as it changes, until the execution ends: release_follow EXECUTION STARTED.
release_follow() {
    local execution=$1 started=$2 status=InProgress stage action now line
    declare -A seen=()
    while :; do
        status=$(aws codepipeline get-pipeline-execution --pipeline-name "$APP" \
            --pipeline-execution-id "$execution" --query pipelineExecution.status --output text)
        # After the status, so that the last changes are not missed.
        while IFS=$'\t' read -r stage action now; do
            [ -n "$stage" ] || continue
            line="$stage/$action"
            [ "${seen[$line]:-}" = "$now" ] && continue
            seen[$line]=$now
            at "$(printf '%-18s %s' "$line" "$now")"
        done < <(aws codepipeline list-action-executions --pipeline-name "$APP" \
            --filter "pipelineExecutionId=$execution" --output text \
            --query 'reverse(actionExecutionDetails)[].[stageName,actionName,status]')
        [ "$status" = InProgress ] || break
        sleep 0.5
    done
    at "$(printf '%-18s %s' pipeline "$status")"
    [ "$status" = Succeeded ] && return
    release_explain "$execution"
    return 1
}

# Why an execution failed: the action's own words, and the end of the build's log.
release_explain() {
    local build group stream
    aws codepipeline list-action-executions --pipeline-name "$APP" --filter "pipelineExecutionId=$1" --output text \
        --query "actionExecutionDetails[?status=='Failed'].[stageName,output.executionResult.errorDetails.message]" >&2
    build=$(aws codepipeline list-action-executions --pipeline-name "$APP" --filter "pipelineExecutionId=$1" \
        --output text --query "actionExecutionDetails[?stageName=='Build'].output.executionResult.externalExecutionId | [0]")
    [ "$build" != None ] || return 0
    read -r group stream <<<"$(aws codebuild batch-get-builds --ids "$build" --output text \
        --query 'builds[0].logs.[groupName,streamName]')"
    aws logs get-log-events --log-group-name "$group" --log-stream-name "$stream" --limit 40 --output text \
        --query 'events[].[message]' >&2 || :
}

# Asks the name until it answers from the commit: release_await COMMIT. Prints the answer.
release_await() {
    local address answer left=240
    while [ "$left" -gt 0 ]; do
        address=$(dig +short +time=2 +tries=1 "@${DNS%:*}" -p "${DNS#*:}" "$ZONE" A | head -n 1)
        if [ -n "$address" ]; then
            answer=$(curl -s --max-time 5 --resolve "$ZONE:80:$address" "http://$ZONE/") || answer=
            [[ $answer == *"${1:0:12}"* ]] && printf '%s %s\n' "$address" "$answer" && return
        fi
        left=$((left - 1))
        sleep 0.5
    done
    die "http://$ZONE/ does not answer from commit $1 but: ${answer:-nothing}"
}
