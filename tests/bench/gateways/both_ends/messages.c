/* What clients and engine say. */
#define _GNU_SOURCE
#include "both_ends.h"

char *request, whole[1024], event[512], last_event[1024];
size_t request_size, seed_at, whole_size, event_size, last_event_size;

/* `form` with its one %s filled so that the whole is `size` bytes. */
static void fill(char *to, size_t size, const char *form) {
    static const char words[] = "A careful engineer counts what a byte costs between two sockets. ";
    size_t room = size - (strlen(form) - 2);
    char text[REQUEST_BODY + 1] = "";
    for (size_t i = 0; i < room; i++) text[i] = words[i % (sizeof words - 1)];
    text[room] = 0;
    sprintf(to, form, text);
}

static size_t framed(char *to, const char *data) { return sprintf(to, "%zx\r\n%s\r\n", strlen(data), data); }

void write_answers(void) {
    char form[512], body[ANSWER_BODY + 1], data[EVENT + 1];
    snprintf(form, sizeof form,
             "{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1790000000,"
             "\"model\":\"%s\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%%s\"},"
             "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":400,\"completion_tokens\":64,"
             "\"total_tokens\":464}}",
             model);
    fill(body, ANSWER_BODY, form);
    whole_size = sprintf(whole, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                         ANSWER_BODY, body);
    const char *chunk = "data: {\"id\":\"chatcmpl-01234567\",\"object\":\"chat.completion.chunk\","
                        "\"created\":1790000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"delta\":{%s},"
                        "\"finish_reason\":%s}]}\n\n";
    snprintf(form, sizeof form, chunk, model, "\"content\":\"%s\"", "null");
    fill(data, EVENT, form);
    event_size = framed(event, data);
    snprintf(form, sizeof form, chunk, model, "", "\"stop\"");
    strcat(form, "data: [DONE]\n\n");
    last_event_size = framed(last_event, form);
    strcpy(last_event + last_event_size, "0\r\n\r\n");
    last_event_size += 5;
}

void write_request(void) {
    char form[512], body[REQUEST_BODY + 1], head[512];
    snprintf(form, sizeof form,
             "{\"model\":\"%s\",\"stream\":%s,\"seed\":%d,\"max_tokens\":%d,\"temperature\":0.7,"
             "\"messages\":[{\"role\":\"user\",\"content\":\"%%s\"}]}",
             model, run.events ? "true" : "false", FIRST_SEED, run.events ? run.events : 64);
    fill(body, REQUEST_BODY, form);
    int head_size = snprintf(head, sizeof head,
                             "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nuser-agent: both-ends\r\n"
                             "accept: application/json\r\ncontent-type: application/json\r\n"
                             "authorization: Bearer %s\r\ncontent-length: %d\r\n\r\n",
                             run.gateway, key, REQUEST_BODY);
    request_size = head_size + REQUEST_BODY;
    request = have(request, request_size + 1);
    sprintf(request, "%s%s", head, body);
    seed_at = strstr(request, "\"seed\":") + 7 - request;
}
