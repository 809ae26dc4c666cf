#!/usr/bin/env python3
"""Writes chat_templates.json: templates in the manner of published ones, and what jinja2 makes of them.

    chat_template_expected.py OUT.json        needs jinja2; the settings are those under which chat templates are rendered
"""
import json
import sys

from jinja2.sandbox import ImmutableSandboxedEnvironment

TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hi \n"},
        {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Why {{ this }}?"}]
TEMPLATES = {
    "chatml": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
              "{{ '<|im_start|>system\nYou help<|im_end|>\n' }}{% endif %}"
              "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
              "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "inst": "{%- if messages[0].role == 'system' -%}\n  {%- set system = messages[0].content | trim -%}\n"
            "  {%- set rest = messages[1:] -%}\n{%- else -%}\n  {%- set rest = messages -%}\n{%- endif -%}\n"
            "{{ bos_token }}\n{%- for m in rest %}\n  {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
            "    {{- raise_exception('roles must alternate') }}\n  {%- endif %}\n"
            "  {%- if m.role == 'user' %}\n    {{- '[INST] ' + (system ~ ' ' if loop.first and system is defined else '')"
            " + m.content.strip() + ' [/INST]' }}\n  {%- else %}\n    {{- ' ' ~ m.content ~ eos_token }}\n  {%- endif %}\n"
            "{%- endfor %}\n",
    "headers": "{% set ns = namespace(count=0, last='') %}\n{% for message in messages %}\n"
               "    {% set ns.count = ns.count + 1 %}\n    {% set ns.last = message.role | upper %}\n"
               "<|{{ message.role }}|>\n{{ message['content'] | trim }}{{ eos_token }}\n{% endfor %}\n"
               "{# a remark #}\n{{ ns.count }} {{ ns.last }} {{ messages | length }}\n"
               "{%- if add_generation_prompt and not messages[-1].role == 'assistant' %}\n<|assistant|>\n{% endif %}",
    "constructs": "{{ [1, 2, 3][::-1] }} {{ 'a,b'.split(',') | join('+') }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 1 + 2 * 3 }} "
                  "{{ 'x' in 'xyz' }} {{ 'q' not in ['p'] }} {{ none is none }} {{ missing is defined }} "
                  "{{ missing | default('fallback') }} {{ {'k': [1, 'two']} | tojson }} {{ 'Title me'.title() }} "
                  "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{{ ', ' if not loop.last }}{% endfor %} "
                  "{% for i in range(5) if i is odd %}{{ i }};{% else %}none{% endfor %} "
                  "{{ messages | map_free }}".replace(" {{ messages | map_free }}", "")
                  + "{{ 'yes' if 1 < 2 and not 2 < 1 or false else 'no' }}{{ messages[0].get('content') }}"
                  + "{{ 'abc'[1] }}{{ 'abc'[:2] }}{{ -3 }}{{ 'A' ~ 1 ~ true }}{{ 'a-b'.replace('-', '_') }}",
}


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def raise_exception(message):
        raise ValueError(message)

    environment.globals["raise_exception"] = raise_exception
    cases = []
    for name, text in TEMPLATES.items():
        for prompt in (False, True):
            rendered = environment.from_string(text).render(messages=TALK, add_generation_prompt=prompt, bos_token="<s>",
                                                            eos_token="</s>")
            cases.append(dict(name=name, template=text, add_generation_prompt=prompt, expected=rendered))
    with open(sys.argv[1], "w") as out:
        json.dump(dict(messages=TALK, cases=cases), out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
