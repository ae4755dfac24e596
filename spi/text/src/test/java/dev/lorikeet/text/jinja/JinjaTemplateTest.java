package dev.lorikeet.text.jinja;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.text.jinja.JinjaException.Kind;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JinjaTemplateTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path RENDERED =
      Path.of("src/test/resources/dev/lorikeet/text/chat_templates.json");

  /** What transformers makes of each template and conversation; see make_chat_templates.py. */
  @TestFactory
  Stream<DynamicTest> templatesRenderAsInTransformers() throws IOException {
    return StreamSupport.stream(JSON.readTree(RENDERED.toFile()).spliterator(), false)
        .map(
            entry ->
                dynamicTest(
                    entry.path("name").textValue(),
                    () -> {
                      var template = JinjaTemplate.parse(entry.path("template").textValue());
                      entry.path("cases").forEach(rendered -> check(template, rendered));
                    }));
  }

  private static void check(JinjaTemplate template, JsonNode rendered) {
    Map<String, Object> variables = new HashMap<>();
    variables.put("messages", plain(rendered.path("messages")));
    variables.put("add_generation_prompt", rendered.path("add_generation_prompt").booleanValue());
    variables.putAll(Map.of("bos_token", "<s>", "eos_token", "</s>", "unk_token", "<unk>"));
    if (rendered.has("text")) {
      assertEquals(rendered.path("text").textValue(), template.render(variables));
    } else {
      var error = assertThrows(JinjaException.class, () -> template.render(variables));
      assertEquals(rendered.path("error").textValue(), error.getMessage());
    }
  }

  private static Object plain(JsonNode node) {
    return JSON.convertValue(node, Object.class);
  }

  private static String render(String template) {
    return JinjaTemplate.parse(template).render(Map.of());
  }

  @Test
  void theTimeIsToldInEnglish() {
    Clock clock = Clock.fixed(Instant.parse("2026-01-05T15:04:09Z"), ZoneOffset.UTC);
    String template = "{{ strftime_now('%d %b %Y, %A %B %H:%M:%S %I%p %j %y %m %a %%') }}";
    assertEquals(
        "05 Jan 2026, Monday January 15:04:09 03PM 005 26 01 Mon %",
        JinjaTemplate.parse(template, clock).render(Map.of()));
  }

  @Test
  void whatIsUndefinedFailsWhereItIsUsedAndNotBefore() {
    assertEquals("", render("{{ nothing }}{{ [].nothing }}"));
    var error = assertThrows(JinjaException.class, () -> render("{{ 'a' + nothing }}"));
    assertEquals("'nothing' is undefined", error.getMessage());
    error = assertThrows(JinjaException.class, () -> render("{{ nothing.more }}"));
    assertEquals("'nothing' is undefined", error.getMessage());
    assertEquals(Kind.EVALUATION, error.kind());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{",
        "{% if %}",
        "{% if true %}",
        "{% endif %}",
        "{% for x %}{% endfor %}",
        "{{ 'open }}",
        "{# open",
        "{% raw %} open",
        "{{ (1] }}",
        "{{ 1 + }}",
        "{{ x | nosuch }}",
        "{{ x is nosuch }}",
        "{% include 'file' %}",
        "{% import 'file' as f %}",
        "{% extends 'file' %}",
        "{% break %}",
        "{% for x in y recursive %}{% endfor %}",
        "{{ f(a=1, 2) }}",
        "{{ f(*args) }}",
        "{{ 99999999999999999999 }}",
        "{{ a ? b }}"
      })
  void whatIsNotJinjaOrNotSupportedIsRefusedWithItsLine(String template) {
    var error = assertThrows(JinjaException.class, () -> JinjaTemplate.parse("\n" + template));
    assertEquals(Kind.SYNTAX, error.kind());
    assertTrue(String.valueOf(error.getMessage()).startsWith("line 2: "), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ ''.__class__.__mro__ }}",
        "{{ ''.getClass().forName('java.lang.Runtime') }}",
        "{{ {}.class.classLoader.name }}",
        "{{ [].append(1) }}",
        "{{ {}.update({}) }}",
        "{{ {}.pop('a') }}",
        "{{ range.__globals__.x }}",
        "{{ namespace.call(1) }}",
        "{{ raise_exception.__call__.x('a') }}"
      })
  void nothingLeadsOutOfTheTemplate(String template) {
    var error = assertThrows(JinjaException.class, () -> render(template));
    assertEquals(Kind.EVALUATION, error.kind());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{{ range(1000000) }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{{ 'a' * 1000000000000 }}",
        "{{ [1] * 9223372036854775807 }}",
        "{{ ('a' * 100000)|replace('a', 'b' * 100000) }}",
        "{% for i in range(100000) %}{{ 'a' * 100000 }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ 10 ** 100 }}"
      })
  void aGreedyTemplateIsStopped(String template) {
    var error = assertThrows(JinjaException.class, () -> render(template));
    assertEquals(Kind.LIMIT, error.kind(), error.getMessage());
  }

  @Test
  void deepNestingIsRefusedBeforeTheStackEnds() {
    for (String template :
        List.of(
            "{{ " + "(".repeat(100_000) + " }}",
            "{{ " + "-".repeat(100_000) + "1 }}",
            "{{ " + "not ".repeat(100_000) + "1 }}",
            "{% if 1 %}".repeat(100_000),
            "{% if 1 %}" + "{% elif 1 %}".repeat(100_000),
            "{{ 1" + " if 1 else 1".repeat(100_000) + " }}")) {
      var error = assertThrows(JinjaException.class, () -> JinjaTemplate.parse(template));
      assertEquals(Kind.SYNTAX, error.kind());
    }
  }
}
