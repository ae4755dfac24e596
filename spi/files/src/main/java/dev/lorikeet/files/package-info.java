/**
 * Untrusted files: JSON key by key, and errors that say where, what was expected and what was
 * found.
 */
@NullMarked
package dev.lorikeet.files;

import org.jspecify.annotations.NullMarked;
