package dev.lorikeet.conformance.runner;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.conformance.trial.RuleTest;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Element;

/** The program, on jars that the test builds. */
class MainTest {
  private static final String ADAPTERS = "adapters=law,code";

  @TempDir private Path directory = Path.of("");

  private RouterJars jars = new RouterJars(directory);
  private Path report = directory;
  private String text = "";

  @BeforeEach
  void choosePlaces() {
    jars = new RouterJars(directory);
    report = directory.resolve("report");
  }

  private int run(Object... args) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int code =
        Main.run(
            List.of(args).stream().map(Object::toString).toList(),
            new PrintStream(out, true, StandardCharsets.UTF_8));
    text = out.toString(StandardCharsets.UTF_8);
    return code;
  }

  private int test(Path jar, String router) {
    return run(
        "--quick",
        "--seed",
        "b0d9e75a7730ff0d",
        "--report",
        report,
        "--option",
        "router/" + router + "." + ADAPTERS,
        jar);
  }

  private JsonNode json() throws IOException {
    return new ObjectMapper().readTree(report.resolve("conformance.json").toFile());
  }

  private Element xml(String router) throws Exception {
    return DocumentBuilderFactory.newInstance()
        .newDocumentBuilder()
        .parse(report.resolve("TEST-router-" + router + ".xml").toFile())
        .getDocumentElement();
  }

  @Test
  void aProviderInAJarIsFoundAndConforms() throws Exception {
    assertEquals(ConformanceRunner.CONFORMS, test(jars.sound(), "sound"), () -> text);
    assertTrue(text.contains("router 'sound'"), () -> text);
    assertTrue(text.contains("option adapters = law,code"), () -> text);
    assertTrue(text.contains("1 of 1 conform"), () -> text);
    assertTrue(Files.readString(report.resolve("report.txt")).contains("1 of 1 conform"));

    JsonNode json = json();
    assertTrue(json.path("conforms").asBoolean());
    assertEquals("quick", json.path("profile").asText());
    JsonNode provider = json.path("providers").path(0);
    assertEquals("law,code", provider.path("options").path("adapters").asText());
    Set<String> rules = new TreeSet<>();
    for (JsonNode rule : provider.path("rules")) {
      rules.add(rule.path("rule").asText());
      assertFalse(rule.path("text").asText().isEmpty(), rule::toString);
      for (JsonNode test : rule.path("tests")) {
        assertEquals("b0d9e75a7730ff0d", test.path("seed").asText(), test::toString);
        assertTrue(test.path("seconds").isNumber(), test::toString);
        assertTrue(RuleTest.of(test.path("test").asText()).isPresent(), test::toString);
        assertTrue(
            Set.of("pass", "not applicable", "untested").contains(test.path("verdict").asText()),
            test::toString);
      }
    }
    assertEquals(
        Set.of(
            "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "V1", "V2", "V3"),
        rules);

    Element suite = xml("sound");
    assertEquals("0", suite.getAttribute("failures"));
    int cases = suite.getElementsByTagName("testcase").getLength();
    assertEquals(Integer.toString(cases), suite.getAttribute("tests"));
    assertEquals(rules.size(), cases);
    List<String> properties = new ArrayList<>();
    for (int i = 0; i < suite.getElementsByTagName("property").getLength(); i++) {
      Element property = (Element) suite.getElementsByTagName("property").item(i);
      properties.add(property.getAttribute("name") + "=" + property.getAttribute("value"));
    }
    assertTrue(properties.contains("option.adapters=law,code"), properties::toString);
  }

  @Test
  void aBrokenProviderDoesNotConformAndTheReportSaysWhy() throws Exception {
    assertEquals(ConformanceRunner.DOES_NOT_CONFORM, test(jars.faulty(), "faulty"), () -> text);
    assertTrue(text.contains("does NOT conform; broken: R2"), () -> text);
    assertTrue(text.contains("again: --seed b0d9e75a7730ff0d"), () -> text);
    assertFalse(json().path("conforms").asBoolean());
    Element suite = xml("faulty");
    assertEquals(
        suite.getAttribute("failures"),
        Integer.toString(suite.getElementsByTagName("failure").getLength()));
    assertTrue(suite.getElementsByTagName("failure").getLength() > 0);
  }

  @Test
  void withoutTheOptionsThatItNeedsItIsNotTestedAndTheReportSaysHow() throws Exception {
    assertEquals(ConformanceRunner.DOES_NOT_CONFORM, run("--quick", jars.sound()), () -> text);
    assertTrue(text.contains("not tested"), () -> text);
    assertTrue(text.contains("--option router/sound.KEY=VALUE"), () -> text);
  }

  @Test
  void whatCannotWorkHereIsNoObstacleToTheRest() throws Exception {
    assertEquals(
        ConformanceRunner.CONFORMS,
        run(
            "--quick",
            "--option",
            "router/sound." + ADAPTERS,
            jars.sound(),
            jars.unavailable(),
            "--report",
            report),
        () -> text);
    assertTrue(text.contains("unavailable here: no such hardware"), () -> text);
    assertTrue(text.contains("1 of 2 conform, 1 could not be tested here"), () -> text);
    assertEquals("Unavailable", json().path("providers").path(1).path("state").asText());
  }

  @Test
  void aClassThatIsNotThereIsAFailure() throws Exception {
    assertEquals(ConformanceRunner.DOES_NOT_CONFORM, run("--quick", jars.empty()), () -> text);
    assertTrue(text.contains("FAILED to load"), () -> text);
  }

  @Test
  void wrongUsageIsToldBeforeAnythingIsTested() throws Exception {
    Path jar = jars.sound();
    expectUsage("expected a jar");
    expectUsage("no such file", directory.resolve("no-such.jar"));
    expectUsage("unknown option --fast", "--fast", jar);
    expectUsage("--seed", jar, "--seed", "no hex");
    expectUsage("expected a value", jar, "--option");
    expectUsage("expected KIND/NAME.KEY=VALUE, found 'a=b'", jar, "--option", "a=b");
    expectUsage("found 'rooter'", jar, "--option", "rooter/sound.adapters=a");
    expectUsage("found router/sound", jar, "--option", "router/sand.adapters=a");
    expectUsage("found router/sound", jar, "--option", "executor/sound.adapters=a");
    expectUsage(
        "more than once",
        jar,
        "--option",
        "router/sound.adapters=a",
        "--option",
        "router/sound.adapters=b");
  }

  private void expectUsage(String message, Object... args) {
    assertEquals(ConformanceRunner.USAGE, run(args), () -> text);
    assertTrue(text.contains(message), () -> text);
    assertFalse(text.contains("Lorikeet conformance:"), () -> text);
  }
}
