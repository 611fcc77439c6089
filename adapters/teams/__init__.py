"""Microsoft Teams. Only this folder imports botbuilder, botframework and msrest; the rest of Herald sees values."""
