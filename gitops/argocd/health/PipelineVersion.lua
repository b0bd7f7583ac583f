-- Argo CD has none. KFP's webhook refuses a version that it cannot read, so that one without conditions is taken.
local status = obj.status
if status ~= nil and status.conditions ~= nil then
  for _, condition in ipairs(status.conditions) do
    local message = condition.type .. ": " .. (condition.message or condition.reason or condition.status)
    if condition.status == "False" then
      return { status = "Degraded", message = message }
    end
    if condition.status ~= "True" then
      return { status = "Progressing", message = message }
    end
  end
end
return { status = "Healthy", message = "KFP has taken it." }
