# A virtual network flow log, and what flow2ipfix needs to read it: a storage
# account that deletes old logs by itself, and a managed identity with the role
# Storage Blob Data Reader on the container. docs/AZURE.md explains each part.
#
#   export ARM_SUBSCRIPTION_ID=…
#   terraform init
#   terraform apply -var resource_group=rg-hub -var vnet=vnet-hub -var account_name=nocflowlogs

terraform {
  required_version = ">= 1.5"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
  }
}

provider "azurerm" {
  features {
    storage {
      # All that is made here goes through Azure Resource Manager, which no storage
      # firewall keeps out.
      data_plane_available = false
    }
  }
}

variable "resource_group" {
  type        = string
  description = "The resource group of the virtual network; everything but the flow log is made there."
}

variable "vnet" {
  type        = string
  description = "The name of the virtual network that is logged."
}

variable "account_name" {
  type        = string
  description = "The storage account: 3 to 24 small letters and digits, the only one of its name in Azure."
}

variable "retention_days" {
  type        = number
  default     = 7
  description = "How many days flow logs are kept: more than the longest outage that is to be made up for."
}

variable "identity_name" {
  type        = string
  default     = "id-flow2ipfix"
  description = "The user-assigned identity that flow2ipfix reads with."
}

variable "network_watcher_resource_group" {
  type        = string
  default     = "NetworkWatcherRG"
  description = "Where Network Watcher is. This is the name that Azure gives it."
}

variable "private_endpoint_subnet" {
  type        = string
  default     = ""
  description = "A subnet of the virtual network for a private endpoint; empty makes none."
}

variable "storage_suffix" {
  type        = string
  default     = "core.windows.net"
  description = "core.usgovcloudapi.net for US Government, core.chinacloudapi.cn for China."
}

locals {
  container = "insights-logs-flowlogflowevent" # the name is Azure's
  private   = var.private_endpoint_subnet != ""
}

data "azurerm_virtual_network" "logged" {
  name                = var.vnet
  resource_group_name = var.resource_group
}

resource "azurerm_storage_account" "flow_logs" {
  name                            = var.account_name
  resource_group_name             = var.resource_group
  location                        = data.azurerm_virtual_network.logged.location
  account_kind                    = "StorageV2"
  account_tier                    = "Standard"
  account_replication_type        = "LRS"
  is_hns_enabled                  = false
  https_traffic_only_enabled      = true
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false

  network_rules {
    # Azure's own services, which write the flow logs, stay allowed.
    bypass         = ["AzureServices"]
    default_action = local.private ? "Deny" : "Allow"
  }
}

# Azure would make the container with the first flow. It is made here, so that the
# role can be given on it alone.
resource "azurerm_storage_container" "flow_logs" {
  name               = local.container
  storage_account_id = azurerm_storage_account.flow_logs.id
}

resource "azurerm_storage_management_policy" "flow_logs" {
  storage_account_id = azurerm_storage_account.flow_logs.id

  rule {
    name    = "delete-flow-logs"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${local.container}/"]
    }

    actions {
      base_blob {
        delete_after_days_since_modification_greater_than = var.retention_days
      }
    }
  }
}

resource "azurerm_network_watcher_flow_log" "logged" {
  name                 = "${var.vnet}-flowlog"
  network_watcher_name = "NetworkWatcher_${data.azurerm_virtual_network.logged.location}"
  resource_group_name  = var.network_watcher_resource_group
  location             = data.azurerm_virtual_network.logged.location
  target_resource_id   = data.azurerm_virtual_network.logged.id
  storage_account_id   = azurerm_storage_account.flow_logs.id
  enabled              = true
  version              = 2

  # Off: the policy above deletes, and this would write another rule into it.
  retention_policy {
    enabled = false
    days    = 0
  }

  depends_on = [azurerm_storage_container.flow_logs, azurerm_storage_management_policy.flow_logs]
}

resource "azurerm_user_assigned_identity" "flow2ipfix" {
  name                = var.identity_name
  resource_group_name = var.resource_group
  location            = data.azurerm_virtual_network.logged.location
}

resource "azurerm_role_assignment" "reader" {
  scope                = "${azurerm_storage_account.flow_logs.id}/blobServices/default/containers/${azurerm_storage_container.flow_logs.name}"
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = azurerm_user_assigned_identity.flow2ipfix.principal_id
  principal_type       = "ServicePrincipal"
}

data "azurerm_subnet" "endpoint" {
  count                = local.private ? 1 : 0
  name                 = var.private_endpoint_subnet
  virtual_network_name = var.vnet
  resource_group_name  = var.resource_group
}

resource "azurerm_private_dns_zone" "blob" {
  count               = local.private ? 1 : 0
  name                = "privatelink.blob.${var.storage_suffix}"
  resource_group_name = var.resource_group
}

resource "azurerm_private_dns_zone_virtual_network_link" "blob" {
  count                 = local.private ? 1 : 0
  name                  = var.vnet
  resource_group_name   = var.resource_group
  private_dns_zone_name = azurerm_private_dns_zone.blob[0].name
  virtual_network_id    = data.azurerm_virtual_network.logged.id
  registration_enabled  = false
}

resource "azurerm_private_endpoint" "blob" {
  count               = local.private ? 1 : 0
  name                = "${var.account_name}-blob"
  resource_group_name = var.resource_group
  location            = data.azurerm_virtual_network.logged.location
  subnet_id           = data.azurerm_subnet.endpoint[0].id

  private_service_connection {
    name                           = "${var.account_name}-blob"
    private_connection_resource_id = azurerm_storage_account.flow_logs.id
    subresource_names              = ["blob"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [azurerm_private_dns_zone.blob[0].id]
  }
}

output "account_url" {
  description = "account_url in flow2ipfix.yaml."
  value       = azurerm_storage_account.flow_logs.primary_blob_endpoint
}

output "client_id" {
  description = "client_id in flow2ipfix.yaml."
  value       = azurerm_user_assigned_identity.flow2ipfix.client_id
}

output "identity_id" {
  description = "What the VM is given: az vm identity assign --identities ID."
  value       = azurerm_user_assigned_identity.flow2ipfix.id
}
