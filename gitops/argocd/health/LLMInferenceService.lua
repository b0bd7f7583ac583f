-- Argo CD has none before its release of September 2026.
local function is(status, message)
  return { status = status, message = message }
end

local status = obj.status
if obj.metadata.deletionTimestamp ~= nil then
  return is("Progressing", "It is being deleted.")
end
if status == nil or status.conditions == nil then
  return is("Progressing", "KServe has not seen it yet.")
end

local function stale(seen)
  return seen ~= nil and seen ~= obj.metadata.generation
end

local ready
local waits = {}
for _, condition in ipairs(status.conditions) do
  if condition.reason == "Stopped" then
    return is("Suspended", "It is stopped.")
  end
  if condition.type == "Ready" then
    ready = condition
  elseif condition.status ~= "True" then
    table.insert(waits, condition.type .. ": " .. (condition.message or condition.reason or condition.status))
  end
end

if stale(status.observedGeneration) or (ready ~= nil and stale(ready.observedGeneration)) then
  return is("Progressing", "KServe has not seen the present spec yet.")
end
if ready ~= nil and ready.status == "True" then
  return is("Healthy", "Its workloads and its router are ready.")
end
if ready ~= nil and ready.status == "False" then
  return is("Degraded", table.concat(waits, "; "))
end
return is("Progressing", table.concat(waits, "; "))
