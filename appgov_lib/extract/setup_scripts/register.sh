#!/usr/bin/env bash
# Creates an app registration that may read what appgov reads, and nothing else. Printed by `appgov setup-script`.
# Read it first. It needs the Azure CLI, signed in (`az login --allow-no-subscriptions`) as someone who may register
# apps and grant application permissions of Microsoft Graph: Privileged Role Administrator or Global Administrator.
set -euo pipefail

name=__name__
azure_cli_cloud=__azure_cli__
graph_endpoint=__endpoint__
graph_app=__graph_app__

# Application permissions of Microsoft Graph, by id. All of them read.
permissions=(
__permissions__
)

stop() {
  printf '%s\n' "$1" >&2
  exit 2
}

# An app of one cloud is unknown in the others.
found="$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)"
if [ "${found%/}" != "$graph_endpoint" ]; then
  stop "az works with Graph at $found, not at $graph_endpoint. Run \`az cloud set --name $azure_cli_cloud\`, where that is \
not enough \`az cloud update --endpoint-microsoft-graph-resource-id $graph_endpoint\`, and sign in again."
fi

# `az ad app create` would change an app of the same name instead of making one.
existing="$(az ad app list --filter __same_name__ --query '[].appId' --output tsv)"
if [ -n "$existing" ]; then
  stop "There is an app called $name already ($existing); nothing was changed."
fi

# 1. The registration, which asks for the permissions.
access=""
for id in "${permissions[@]}"; do
  access="$access${access:+,}{\"id\":\"$id\",\"type\":\"Role\"}"
done
app_id="$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg \
  --required-resource-accesses "[{\"resourceAppId\":\"$graph_app\",\"resourceAccess\":[$access]}]" \
  --query appId --output tsv)"

# 2. Its service principal in this tenant. For a managed identity leave out 1 and put its object id here instead.
principal="$(az ad sp create --id "$app_id" --query id --output tsv)"

# 3. Admin consent: each permission is granted by itself. A new principal takes a moment to be known everywhere.
graph="$(az ad sp show --id "$graph_app" --query id --output tsv)"
grant() {
  for _ in 1 2 3 4 5; do
    if az rest --method POST --resource "$graph_endpoint" --output none \
      --url "$graph_endpoint/v1.0/servicePrincipals/$principal/appRoleAssignments" \
      --headers 'Content-Type=application/json' \
      --body "{\"principalId\":\"$principal\",\"resourceId\":\"$graph\",\"appRoleId\":\"$1\"}"; then
      return 0
    fi
    sleep 5
  done
  stop "The permission $1 could not be granted to $app_id; grant it in the portal, or delete the app and run this again."
}
for id in "${permissions[@]}"; do
  grant "$id"
done
__certificate__
tenant="$(az account show --query tenantId --output tsv)"
printf '\nSet these, then run `appgov doctor`:\n'
printf '  export AZURE_TENANT_ID=%q\n' "$tenant"
printf '  export AZURE_CLIENT_ID=%q\n' "$app_id"
if [ -n "${certificate:-}" ]; then
  printf '  export AZURE_CLIENT_CERTIFICATE_PATH=%q\n' "$certificate"
fi
printf '  export APPGOV_GRAPH_ENDPOINT=%q\n' "$graph_endpoint"
