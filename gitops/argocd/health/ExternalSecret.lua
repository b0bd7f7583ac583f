-- Argo CD's own takes the `Ready` of an earlier spec for that of the present one: a Secret that now comes from another
-- key would be Healthy with the old value. The operator writes `<generation>-<hash>` of what it has synced.
local status = obj.status
if status ~= nil and status.conditions ~= nil then
  for _, condition in ipairs(status.conditions) do
    if condition.type == "Ready" then
      if condition.status == "False" then
        return { status = "Degraded", message = condition.message }
      end
      local seen = string.match(status.syncedResourceVersion or "", "^(%d+)%-")
      if seen ~= nil and tonumber(seen) ~= obj.metadata.generation then
        return { status = "Progressing", message = "The operator has not synced the present spec yet." }
      end
      if condition.status == "True" then
        return { status = "Healthy", message = condition.message }
      end
    end
  end
end
return { status = "Progressing", message = "The operator has not synced it yet." }
