// A virtual network flow log, and what flow2ipfix needs to read it: a storage
// account that deletes old logs by itself, and a managed identity with the role
// Storage Blob Data Reader on the container. docs/AZURE.md explains each part.
//
//   az deployment group create --resource-group rg-hub --template-file main.bicep \
//     --parameters accountName=nocflowlogs vnetId=/subscriptions/…/virtualNetworks/vnet-hub
//
// The resource group has to be in the region of the network, or say location.
targetScope = 'resourceGroup'

@description('The region of the virtual network; the storage account has to be in the same.')
param location string = resourceGroup().location

@description('The id of the virtual network that is logged.')
param vnetId string

@description('The storage account: 3 to 24 small letters and digits, the only one of its name in Azure.')
@minLength(3)
@maxLength(24)
param accountName string

@description('How many days flow logs are kept: more than the longest outage that is to be made up for.')
@minValue(1)
@maxValue(365)
param retentionDays int = 7

@description('The user-assigned identity that flow2ipfix reads with.')
param identityName string = 'id-flow2ipfix'

@description('Where Network Watcher is. These are the names that Azure gives it.')
param networkWatcherResourceGroup string = 'NetworkWatcherRG'
param networkWatcherName string = 'NetworkWatcher_${location}'

@description('The id of a subnet for a private endpoint; empty makes none.')
param privateEndpointSubnetId string = ''

// The name is Azure's.
var containerName = 'insights-logs-flowlogflowevent'
var storageBlobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
var private = !empty(privateEndpointSubnetId)

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: accountName
  location: location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    accessTier: 'Hot'
    isHnsEnabled: false
    supportsHttpsTrafficOnly: true
    minimumTlsVersion: 'TLS1_2'
    allowBlobPublicAccess: false
    networkAcls: {
      // Azure's own services, which write the flow logs, stay allowed.
      bypass: 'AzureServices'
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
}

// Azure would make the container with the first flow. It is made here, so that
// the role can be given on it alone.
resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: containerName
  properties: {
    publicAccess: 'None'
  }
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-flow-logs'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                '${containerName}/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: retentionDays
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: identityName
  location: location
}

resource reader 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(container.id, identity.id, storageBlobDataReader)
  scope: container
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataReader)
  }
}

// Flow logs belong to Network Watcher, which has a resource group of its own.
module flowLog 'flowlog.bicep' = {
  name: 'flow2ipfix-flowlog'
  scope: resourceGroup(networkWatcherResourceGroup)
  params: {
    location: location
    networkWatcherName: networkWatcherName
    flowLogName: '${last(split(vnetId, '/'))}-flowlog'
    targetId: vnetId
    storageId: account.id
  }
  dependsOn: [
    container
    lifecycle
  ]
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = if (private) {
  name: '${accountName}-blob'
  location: location
  properties: {
    subnet: {
      id: privateEndpointSubnetId
    }
    privateLinkServiceConnections: [
      {
        name: '${accountName}-blob'
        properties: {
          privateLinkServiceId: account.id
          groupIds: [
            'blob'
          ]
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = if (private) {
  name: 'privatelink.blob.${environment().suffixes.storage}'
  location: 'global'
}

resource zoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = if (private) {
  parent: zone
  name: last(split(vnetId, '/'))
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: vnetId
    }
  }
}

resource endpointName 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = if (private) {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'blob'
        properties: {
          privateDnsZoneId: zone.id
        }
      }
    ]
  }
}

@description('account_url in flow2ipfix.yaml.')
output accountUrl string = account.properties.primaryEndpoints.blob

@description('client_id in flow2ipfix.yaml.')
output clientId string = identity.properties.clientId

@description('What the VM is given: az vm identity assign --identities ID.')
output identityId string = identity.id
