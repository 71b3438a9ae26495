#!/usr/bin/env bash
# Turns on a virtual network flow log and lets flow2ipfix read it, with the Azure
# CLI. docs/AZURE.md explains each step. It may be run again: what is there stays.
#
#   RESOURCE_GROUP=rg-hub VNET=vnet-hub STORAGE_ACCOUNT=nocflowlogs VM=vm-flow2ipfix bash cli.sh
#
# Who runs it needs the right to make storage accounts, flow logs and role
# assignments: Owner of the resource group, or Contributor with User Access
# Administrator, and Network Contributor on the resource group of Network Watcher.
set -euo pipefail

: "${RESOURCE_GROUP:?the resource group of the virtual network, the storage account and the VM}"
: "${VNET:?the name of the virtual network}"
: "${STORAGE_ACCOUNT:?a name for the storage account: 3 to 24 small letters and digits, the only one of its name in Azure}"
VM=${VM:-}                           # the VM that flow2ipfix runs on; empty gives nobody the role
DAYS=${DAYS:-7}                      # how long flow logs are kept
FLOW_LOG=${FLOW_LOG:-$VNET-flowlog}  # what the flow log is called
SUBNET=${SUBNET:-}                   # a subnet for a private endpoint; empty makes none

container=insights-logs-flowlogflowevent # the name is Azure's
role='Storage Blob Data Reader'

say() { echo "== $*" >&2; }

# show prints one property of something, and nothing if it is not there.
show() { az "$@" --output tsv 2>/dev/null || true; }

vnet_id=$(az network vnet show --resource-group "$RESOURCE_GROUP" --name "$VNET" --query id --output tsv)
location=$(az network vnet show --resource-group "$RESOURCE_GROUP" --name "$VNET" --query location --output tsv)

say "registering Microsoft.Insights, without which flow logs stay empty"
az provider register --namespace Microsoft.Insights --wait --output none

account_id=$(show storage account show --resource-group "$RESOURCE_GROUP" --name "$STORAGE_ACCOUNT" --query id)
if [[ -n $account_id ]]; then
    say "the storage account $STORAGE_ACCOUNT is there"
else
    # Standard, general purpose v2, of the region of the network, with a flat
    # namespace. Keys stay allowed: Network Watcher writes with them.
    say "making the storage account $STORAGE_ACCOUNT in $location"
    az storage account create --resource-group "$RESOURCE_GROUP" --name "$STORAGE_ACCOUNT" --location "$location" \
        --kind StorageV2 --sku Standard_LRS --enable-hierarchical-namespace false \
        --https-only true --min-tls-version TLS1_2 --allow-blob-public-access false --output none
    account_id=$(az storage account show --resource-group "$RESOURCE_GROUP" --name "$STORAGE_ACCOUNT" --query id --output tsv)
fi

# Azure would make the container with the first flow. It is made now, so that the
# role can be given on it alone.
say "making the container $container"
az storage container-rm create --storage-account "$account_id" --name "$container" --output none

# An account has one policy with all its rules: one that is there is left alone.
if [[ -n $(show storage account management-policy show --resource-group "$RESOURCE_GROUP" --account-name "$STORAGE_ACCOUNT" --query id) ]]; then
    say "the account has a lifecycle policy: see to it that it deletes what is in $container/"
else
    say "flow logs are deleted $DAYS days after their last change"
    az storage account management-policy create --resource-group "$RESOURCE_GROUP" --account-name "$STORAGE_ACCOUNT" --output none --policy '{
      "rules": [{
        "name": "delete-flow-logs", "enabled": true, "type": "Lifecycle",
        "definition": {
          "filters": {"blobTypes": ["blockBlob"], "prefixMatch": ["'"$container"'/"]},
          "actions": {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": '"$DAYS"'}}}
        }
      }]
    }'
fi

# Retention 0: the policy above deletes, and Azure does not write another into it.
say "turning on the flow log $FLOW_LOG of $VNET"
az network watcher flow-log create --location "$location" --name "$FLOW_LOG" --vnet "$vnet_id" \
    --storage-account "$account_id" --enabled true --retention 0 --output none

if [[ -n $VM ]]; then
    say "giving the identity of $VM the role $role on the container"
    principal=$(az vm identity assign --resource-group "$RESOURCE_GROUP" --name "$VM" --query systemAssignedIdentity --output tsv)
    az role assignment create --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal \
        --role "$role" --scope "$account_id/blobServices/default/containers/$container" --output none
fi

if [[ -n $SUBNET ]]; then
    suffix=$(az cloud show --query suffixes.storageEndpoint --output tsv)
    zone=privatelink.blob.$suffix
    say "making a private endpoint in $SUBNET, and its name in $zone"
    az network private-endpoint create --resource-group "$RESOURCE_GROUP" --name "$STORAGE_ACCOUNT-blob" --location "$location" \
        --vnet-name "$VNET" --subnet "$SUBNET" --private-connection-resource-id "$account_id" \
        --group-id blob --connection-name "$STORAGE_ACCOUNT-blob" --output none
    if [[ -z $(show network private-dns zone show --resource-group "$RESOURCE_GROUP" --name "$zone" --query id) ]]; then
        az network private-dns zone create --resource-group "$RESOURCE_GROUP" --name "$zone" --output none
    fi
    if [[ -z $(show network private-dns link vnet show --resource-group "$RESOURCE_GROUP" --zone-name "$zone" --name "$VNET" --query id) ]]; then
        az network private-dns link vnet create --resource-group "$RESOURCE_GROUP" --zone-name "$zone" --name "$VNET" \
            --virtual-network "$vnet_id" --registration-enabled false --output none
    fi
    az network private-endpoint dns-zone-group create --resource-group "$RESOURCE_GROUP" --endpoint-name "$STORAGE_ACCOUNT-blob" \
        --name default --private-dns-zone "$zone" --zone-name blob --output none
    # Azure's own services, which write the flow logs, stay allowed.
    say "closing the account to all other networks"
    az storage account update --ids "$account_id" --default-action Deny --bypass AzureServices --output none
fi

say "done; this goes into /etc/flow2ipfix/flow2ipfix.yaml, with your collectors below it"
cat <<END
sources:
  - name: ${VNET}
    azure:
      account_url: $(az storage account show --ids "$account_id" --query primaryEndpoints.blob --output tsv)
      credential: managed_identity
      containers: [$container]
END
