package dev.lorikeet.text.jinja;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.text.jinja.JinjaException.Kind;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Templates that mean harm: each ends within its limits, with the one exception there is. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class HostileTemplateTest {
  private static final String BIG = "{% set s = 'a' * 16000000 %}";
  private static final String LONG_MAX = "9223372036854775807";

  private static String render(String template) {
    return render(template, Map.of());
  }

  private static String render(String template, Map<String, Object> variables) {
    return JinjaTemplate.parse(template).render(variables, new Limits(() -> 0, () -> {}));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ ('a ' * 8000000).split()|length }}",
        BIG + "{% for i in range(100000) %}{% set t = s|upper %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% set t = s.upper() %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% if 'b' in s %}{% endif %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% if s == s ~ '' %}{% endif %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% if s is lower %}{% endif %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% set t = s[9] %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% set t = s|length %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% set t = s.startswith(s) %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% set t = {s ~ i: 1} %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% if s < s ~ 'a' %}{% endif %}{% endfor %}",
        BIG + "{% for i in range(100000) %}{% set t %}{{ s }}{% endset %}{% endfor %}",
        "{% set s = ('x' * 10000000) ~ 'y' %}{{ s.find('x' * 5000000 ~ 'z') }}"
            + "{% for i in range(1000) %}{{ s.rfind('z' ~ 'x' * 5000000) }}{% endfor %}",
        BIG
            + "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}"
            + "{% set ns.l = ns.l + [s|list] %}{% endfor %}",
        BIG
            + "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}"
            + "{% set ns.l = ns.l + [s ~ i] %}{% endfor %}",
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
            + "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
        "{% set ns = namespace(a=(1,), b=(1,)) %}{% for i in range(60) %}"
            + "{% set ns.a = (ns.a, ns.a) %}{% set ns.b = (ns.b, ns.b) %}{% endfor %}"
            + "{{ ns.a < ns.b }}",
        "{% set ns = namespace(a=(1, 2)) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}"
            + "{% endfor %}{{ {ns.a: 1} }}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
            + "{% endfor %}{{ ns.a|tojson }}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
            + "{% endfor %}{{ ns.a }}",
        "{{ ('&' * 16000000)|e|e|e|e|e|length }}",
        "{{ ('\\x01' * 16000000)|tojson|length }}",
        "{% set l = range(100000)|list %}{% for i in l %}{% if 'x' in l %}{% endif %}{% endfor %}",
        "{% set l = range(100000)|list %}{% for i in l %}{{ l|sort|length }}{% endfor %}",
        "{% set l = range(100000)|list %}{% for i in l %}{{ l[1:]|length }}{% endfor %}",
        "{% set l = range(100000)|list %}{% for i in l %}{{ l.count(5) }}{% endfor %}",
        "{{ [[[1]]]|tojson(indent='a' * 16000000) }}",
        "{{ strftime_now('%d' * 8000000) }}",
        "{{ ('a' * 8000000)|replace('', 'bc') }}",
        "{{ ('\\n' * 8000000)|indent(1000, blank=true) }}",
        "{{ ('a,' * 8000000).rsplit(',')|length }}",
        "{{ ('a\\n' * 8000000).splitlines()|length }}",
        "{% macro f() %}{% macro g() %}{{ x }}{% endmacro %}{% set ns.f = g %}{% endmacro %}"
            + "{% set ns = namespace() %}{% set ns.f = f %}{% for i in range(100000) %}"
            + "{% for j in range(100000) %}{{ ns.f() }}{% endfor %}{% endfor %}",
        "{{ (-" + LONG_MAX + " - 1)|abs }}",
        "{{ (-" + LONG_MAX + " - 1) // -1 }}"
      })
  void aTemplateThatWantsTooMuchIsStopped(String template) {
    var error = assertThrows(JinjaException.class, () -> render(template));
    assertEquals(Kind.LIMIT, error.kind(), error.getMessage());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '#',
      value = {
        "{{ 'abc'[1::9223372036854775807] }} # b",
        "{{ [1, 2, 3][1::9223372036854775807] }} # [2]",
        "{{ 'abc'[::-9223372036854775807] }} # c",
        "{{ [1, 2, 3][::-9223372036854775807 - 1] }} # [3]",
        "{{ ''[::2] }}{{ [][::-2] }} # []",
        "{{ range(9223372036854775806, 9223372036854775807, 9)[0] }} # 9223372036854775806",
        "{{ range(-9223372036854775807, 9223372036854775807, 9223372036854775807)[-1] }} # 0",
        "{{ 'x' is sameas 'x' }}{{ [1] is sameas [1] }} # TrueFalse",
        "{{ 'abab'.replace('', '-', 2) }} # -a-bab",
        "{{ 'a b  c '.split() }} # ['a', 'b', 'c']",
        "{{ ' a b  c '.split(none, 1) }} # ['a', 'b  c']",
        "{{ 'a,b,c'.rsplit(',', 1) }} # ['a,b', 'c']",
        "{{ 'aXbXc'.rfind('X') }}{{ 'abc'.rfind('d') }} # 3-1",
        "{{ 'xyzabczyx'.strip('zyx') }} # abc",
        "{{ [3, 1.5, 2]|sort }}{{ [3, 1, 2]|max }}{{ [3, 1, 2]|min }} # [1.5, 2, 3]31",
        "{{ (('z' * 30) ~ 'ab' ~ ('z' * 20)).find('ab' ~ ('z' * 20)) }} # 30",
        "{{ ('ab' * 40).split('ab' * 9)|length }} # 5",
      })
  void whatLooksLikeAnAttackMayBeSound(String template, String text) {
    assertEquals(text, render(template));
  }

  @Test
  void numbersThatAreNoneAreRefusedWhenParsing() {
    var error =
        assertThrows(
            JinjaException.class, () -> JinjaTemplate.parse("{{ messages.99999999999999999999 }}"));
    assertEquals(Kind.SYNTAX, error.kind());
  }

  @Test
  void longChainsAreRefusedBeforeTheStackEnds() {
    for (String template :
        List.of(
            "{{ " + "1+".repeat(200_000) + "1 }}",
            "{{ " + "2*".repeat(200_000) + "1 }}",
            "{{ " + "2**".repeat(200_000) + "1 }}",
            "{{ messages" + ".a".repeat(200_000) + " }}",
            "{{ messages" + "[0]".repeat(200_000) + " }}",
            "{{ messages" + "()".repeat(200_000) + " }}",
            "{{ 'a'" + "|trim".repeat(150_000) + " }}",
            "{{ 'a'" + " is string".repeat(150_000) + " }}",
            "{{ " + "0 or ".repeat(150_000) + "1 }}",
            "{{ " + "1 and ".repeat(150_000) + "1 }}",
            "{{ 1" + " if 1".repeat(150_000) + " }}")) {
      var error = assertThrows(JinjaException.class, () -> JinjaTemplate.parse(template));
      assertEquals(Kind.SYNTAX, error.kind());
    }
  }

  /** Whatever is nested as deep as it may be needs less stack than threads have. */
  @Test
  void whatMayBeNestedFitsIntoASmallStack() throws InterruptedException {
    String sum = "1+".repeat(250) + "1";
    String parentheses = sum;
    for (int i = 0; i < 5; i++) {
      parentheses = "(" + parentheses + ")+" + "1+".repeat(250) + "1";
    }
    List<String> templates =
        List.of(
            "{{ " + parentheses + " }}",
            "{% macro m(n) %}{{ "
                + "(".repeat(20)
                + "m(n)"
                + ")".repeat(20)
                + " }}{% endmacro %}"
                + "{{ m(1) }}",
            "{% if 1 %}".repeat(150) + "x" + "{% endif %}".repeat(150),
            "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}"
                + "{% endfor %}{{ ns.x|tojson }}",
            "{% set ns = namespace(x=(), y=()) %}{% for i in range(99999) %}"
                + "{% set ns.x = (ns.x, ) %}{% set ns.y = (ns.y, ) %}{% endfor %}{{ ns.x == ns.y }}",
            "{% set ns = namespace(x=()) %}{% for i in range(99999) %}{% set ns.x = (ns.x, ) %}"
                + "{% endfor %}{{ {ns.x: 1} }}");
    for (String template : templates) {
      AtomicLong failures = new AtomicLong();
      Thread thread =
          new Thread(
              null,
              () -> {
                try {
                  render(template);
                } catch (JinjaException e) {
                  assertEquals(Kind.LIMIT, e.kind());
                  assertTrue(String.valueOf(e.getMessage()).matches(".*(levels|macros).*"));
                }
                failures.decrementAndGet();
              },
              "small stack",
              512 << 10);
      thread.start();
      thread.join();
      assertEquals(-1, failures.get(), template.substring(0, Math.min(template.length(), 80)));
    }
  }

  @Test
  void theTimeIsBoundedToo() {
    AtomicLong now = new AtomicLong();
    Limits limits = new Limits(() -> now.addAndGet(Limits.MAX_NANOS / 3), () -> {});
    var error =
        assertThrows(
            JinjaException.class,
            () ->
                JinjaTemplate.parse("{% for i in range(90000) %}{{ i ~ i }}{% endfor %}")
                    .render(Map.of(), limits));
    assertEquals("expected at most 5 s", error.getMessage());
  }

  @Test
  void whoeverWaitsMayEndIt() {
    var template = JinjaTemplate.parse("{% for i in range(90000) %}{{ i ~ i }}{% endfor %}");
    var error =
        assertThrows(
            IllegalStateException.class,
            () ->
                template.render(
                    Map.of(),
                    () -> {
                      throw new IllegalStateException("late");
                    }));
    assertEquals("late", error.getMessage());
  }

  /** What a user sends costs time in proportion to its length, whatever a template does to it. */
  @Test
  void aUsersTextCostsWorkInProportion() {
    JinjaTemplate template =
        JinjaTemplate.parse(
            """
            {%- set w = content.split() -%}
            {{ content.strip()|trim|length }}{{ content.split('</think>')[-1].lstrip('\\n') }}
            {{ content|tojson }}{{ content|replace('a', 'b') }}{{ content|upper }}{{ content|e }}
            {{ content.rsplit('x' * 20, 3)|length }}{{ content.rfind('xx') }}{{ content in content }}
            """);
    for (String piece : List.of("a ", "x", "xy", " ", "\u0001", "&", "\n", "\u00e4\ud83d\ude00")) {
      long small = work(template, piece.repeat(20_000));
      long large = work(template, piece.repeat(160_000));
      assertTrue(large < 9 * small, piece + ": " + small + " grew to " + large);
    }
  }

  private static long work(JinjaTemplate template, String content) {
    Limits limits = new Limits(() -> 0, () -> {});
    template.render(Map.of("content", content), limits);
    return limits.work();
  }

  /** The limits leave room for what chats are: a million tokens, in many turns. */
  @Test
  void aLongChatIsRendered() {
    JinjaTemplate template =
        JinjaTemplate.parse(
            """
            {%- for m in messages -%}
            {%- if '</think>' in m.content -%}{% set c = m.content.split('</think>')[-1] %}
            {%- else -%}{% set c = m.content %}{%- endif -%}
            {{- '<|im_start|>' + m.role + '\\n' + c.strip() + '<|im_end|>' + '\\n' -}}
            {%- endfor -%}
            """);
    List<Map<String, Object>> messages =
        java.util.Collections.nCopies(
            1_000,
            Map.of("role", "user", "content", "word ".repeat(800) + "</think>" + "an ".repeat(30)));
    String text = template.render(Map.of("messages", messages));
    assertTrue(text.startsWith("<|im_start|>user\nan an"));
    messages = List.of(Map.of("role", "user", "content", "word ".repeat(1_000_000)));
    assertEquals(5_000_027, template.render(Map.of("messages", messages)).length());
  }
}
