package dev.lorikeet.host.serving;

import dev.lorikeet.text.ChatTemplate;
import java.util.Optional;

/**
 * By which templates conversations are written.
 *
 * @param template the one for requests for which there is no other; without one they are refused
 * @param ofAdapters whether an adapter's own template is used for requests that name the adapter
 */
public record Conversations(Optional<ChatTemplate> template, boolean ofAdapters) {}
