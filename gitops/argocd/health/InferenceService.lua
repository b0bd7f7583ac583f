-- Argo CD's own script knows `RawDeployment` and not `Standard`, its name since KServe 0.16, so that it waits for ever;
-- it calls a model that still loads Degraded, which fails the sync; and it takes the `Ready` of an earlier spec for that
-- of the present one (kserve/kserve#4626).
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
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return is("Progressing", "KServe has not seen the present spec yet.")
end

local ready
local waits = {}
for _, condition in ipairs(status.conditions) do
  if condition.type == "Ready" then
    ready = condition.status
  elseif condition.type == "Stopped" then
    if condition.status == "True" then
      return is("Suspended", "It is stopped.")
    end
  elseif condition.status ~= "True" and condition.severity ~= "Info" then
    table.insert(waits, condition.type .. ": " .. (condition.message or condition.reason or condition.status))
    if condition.reason == "ProgressDeadlineExceeded" then
      return is("Degraded", waits[#waits])
    end
  end
end

local model = status.modelStatus or {}
local states = model.states or {}
if
  model.transitionStatus == "BlockedByFailedLoad"
  or model.transitionStatus == "InvalidSpec"
  or states.targetModelState == "FailedToLoad"
then
  local failure = model.lastFailureInfo or {}
  return is("Degraded", (failure.reason or model.transitionStatus) .. ": " .. (failure.message or "no message"))
end
if ready ~= "True" then
  return is("Progressing", table.concat(waits, "; "))
end
local target = states.targetModelState
if model.transitionStatus == "InProgress" or (target ~= nil and target ~= "" and target ~= "Loaded") then
  return is("Progressing", "Pods of the earlier spec still answer; the model is " .. (target or "on its way") .. ".")
end
return is("Healthy", "The model is loaded.")
