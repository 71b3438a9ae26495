// The flow log of main.bicep: it is deployed to the resource group of Network
// Watcher.
targetScope = 'resourceGroup'

param location string
param networkWatcherName string
param flowLogName string

@description('What is logged: a virtual network, a subnet or a network interface.')
param targetId string
param storageId string

resource networkWatcher 'Microsoft.Network/networkWatchers@2024-05-01' existing = {
  name: networkWatcherName
}

resource flowLog 'Microsoft.Network/networkWatchers/flowLogs@2024-05-01' = {
  parent: networkWatcher
  name: flowLogName
  location: location
  properties: {
    enabled: true
    targetResourceId: targetId
    storageId: storageId
    format: {
      type: 'JSON'
      version: 2
    }
    // Off: the lifecycle policy of the account deletes, and this would write
    // another rule into it.
    retentionPolicy: {
      enabled: false
      days: 0
    }
  }
}
